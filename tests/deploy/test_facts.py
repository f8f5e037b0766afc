"""Reading the facts of a deploy: one round trip, and impossible values are errors."""

import json
from dataclasses import replace

import msgspec
import pytest

from opstasks.core.errors import InvalidResponse, Refused
from opstasks.core.result import Result
from opstasks.deploy import release
from opstasks.deploy.facts import INSPECT, DeployInspectRequest, inspect
from opstasks.fleet import lock
from opstasks.fleet.lock import Owner
from tests.deploy.facts_help import FACTS, RECORD
from tests.fake_host import refused

REQUEST = DeployInspectRequest(
    code_dir="/home/opensafely/jobrunner/code",
    lib_dir="/home/opensafely/jobrunner/lib",
    code_ref="v2",
    lib_ref="main",
    config_dir="/home/opensafely/config",
    database="/home/opensafely/jobrunner/workdir/db.sqlite",
    home="/home/opensafely",
    state_dir="/home/opensafely/opstasks",
    unit="jobrunner",
    snapshot="",
    fetches=True,
)
HELD = {"who": "bob@x", "task": "deploy", "since": "", "run_id": "1"}


def test_facts_come_with_the_holder_of_the_lock(fake_host):
    tpp = fake_host()
    tpp.expect(INSPECT, REQUEST, FACTS, user="opensafely")
    tpp.expect(lock.holder(tpp.spec), json.dumps(HELD), user="opensafely")
    found = inspect(tpp, "v2", "main")
    assert (found.lock_owner, found.service_user) == (Owner(**HELD), "opensafely")
    assert found.code.url == tpp.spec.deploy.code.url
    assert (found.code.head, found.migrations) == (FACTS.code.head, FACTS.migrations)


def test_a_host_without_job_runner_is_refused_with_a_hint(fake_host):
    tpp = fake_host()
    tpp.expect(INSPECT, REQUEST, refused("no job-runner checkout in /code"))
    tpp.expect(lock.holder(tpp.spec), "")
    with pytest.raises(Refused, match="no job-runner checkout") as caught:
        inspect(tpp, "v2", "main")
    assert caught.value.hint == "inv -H tpp manage"


@pytest.mark.parametrize("refs", [("$(x)", "main"), ("main", "--upload-pack=evil")])
def test_a_hostile_ref_is_refused_before_the_host_is_asked(fake_host, refs):
    with pytest.raises(Refused, match="cannot be a branch"):
        inspect(fake_host(), *refs)


def changed(path, value):
    """The answer of a good host with one value changed."""
    answer = msgspec.to_builtins(replace(FACTS, releases=(RECORD,)))
    *folders, last = path.split(".")
    inner = answer
    for name in folders:
        inner = inner[int(name) if name.isdigit() else name]
    inner[last] = value
    return answer


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("code.head", None),
        ("code.head", "v2.73.0"),
        ("lib.target", "b" * 39),
        ("code.gained.0.subject", 7),
        ("code.dirt.staged", "a.py"),
        ("code.dirt", None),
        ("database.user_version", -1),
        ("database.size_bytes", 1 << 70),
        ("database.running.0.workspace", None),
        ("disks.0.free_bytes", "plenty"),
        ("may_control", "yes"),
        ("migrations.0.version", "two"),
        ("missing_keys", {}),
        ("releases.0.started_at", 1e12),
        ("releases.0.started_at", None),
        ("releases.0.outcome", None),
        ("releases", None),
    ],
)
def test_an_impossible_value_is_an_invalid_response(path, value):
    out = json.dumps({"ok": changed(path, value)})
    with pytest.raises(InvalidResponse) as caught:
        INSPECT.decode(Result("", 0, out, ""), "tpp")
    assert caught.value.host == "tpp"


@pytest.mark.parametrize("out", ["", "hello", "[]", '{"ok": null}', '{"ok": {"releases": [7]}}'])
def test_an_impossible_list_of_releases_is_an_invalid_response(out):
    with pytest.raises(InvalidResponse) as caught:
        release.parse_releases(Result("", 0, out, ""), "tpp")
    assert caught.value.host == "tpp"
