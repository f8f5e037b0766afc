"""Which release a rollback undoes, and when it is refused."""

from dataclasses import replace

import pytest

from opstasks.core.errors import Refused
from opstasks.deploy import rollback
from opstasks.deploy.facts import INSPECT, DeployInspectRequest
from opstasks.deploy.release import RELEASES, Release, ReleasesAnswer, ReleasesRequest
from opstasks.fleet import lock
from tests.deploy.facts_help import CODE, FACTS, LIB, RECORD

DEPLOYED = replace(
    RECORD,
    outcome="deployed",
    from_code="b" * 40,
    to_code="a" * 40,
    from_lib="d" * 40,
    to_lib="c" * 40,
)


def record(id, kind="deploy", outcome="deployed"):
    return Release(id=id, kind=kind, outcome=outcome)


@pytest.mark.parametrize(
    ("kinds", "undone"),
    [
        ([], None),
        (["deploy"], "1"),
        (["deploy", "deploy"], "2"),
        (["deploy", "deploy", "rollback"], "1"),
        (["deploy", "rollback"], None),
        (["deploy", "rollback", "deploy"], "3"),
        (["deploy", "deploy", "rollback", "rollback"], None),
    ],
)
def test_a_rollback_undoes_the_newest_release_in_force(kinds, undone):
    records = [record(str(n), kind) for n, kind in enumerate(kinds, 1)]
    found = rollback.undoable(tuple(reversed(records)))
    assert (found.id if found else None) == undone


def test_releases_that_failed_and_went_back_are_not_undone():
    assert rollback.undoable((record("2", outcome="rolled back"), record("1"))).id == "1"


def tpp_with(fake_host, *releases):
    tpp = fake_host()
    request = ReleasesRequest("/home/opensafely/opstasks")
    tpp.expect(RELEASES, request, ReleasesAnswer(releases), user="opensafely")
    return tpp


def expect_inspection(tpp, snapshot, facts):
    request = DeployInspectRequest(
        code_dir="/home/opensafely/jobrunner/code",
        lib_dir="/home/opensafely/jobrunner/lib",
        code_ref="b" * 40,
        lib_ref="d" * 40,
        config_dir="/home/opensafely/config",
        database="/home/opensafely/jobrunner/workdir/db.sqlite",
        home="/home/opensafely",
        state_dir="/home/opensafely/opstasks",
        unit="jobrunner",
        snapshot=snapshot,
        fetches=False,
    )
    tpp.expect(INSPECT, request, facts, user="opensafely")
    tpp.expect(lock.holder(tpp.spec), "")


@pytest.mark.parametrize(("migrated", "snapshot"), [(True, "/snap"), (False, "")])
def test_a_rollback_goes_to_the_commits_before_the_last_release(fake_host, migrated, snapshot):
    last = replace(DEPLOYED, to_version=2 if migrated else 1)
    tpp = tpp_with(fake_host, last)
    expect_inspection(tpp, snapshot, replace(FACTS, lib=replace(LIB, target="d" * 40)))
    plan = rollback.make_plan(rollback.inspect(tpp))
    assert (plan.problems, plan.restores, plan.moves) == ((), last, True)


def test_a_rollback_is_refused_while_a_release_is_unfinished(fake_host):
    tpp = tpp_with(fake_host, RECORD, DEPLOYED)
    with pytest.raises(Refused, match=r"v1 to v2.* is unfinished") as caught:
        rollback.inspect(tpp)
    assert caught.value.hint == "inv -H tpp deploy --unfinished back"


def test_a_rollback_is_refused_beside_a_record_that_cannot_be_read(fake_host):
    tpp = tpp_with(fake_host, DEPLOYED, Release("r9", unread="permission denied"))
    with pytest.raises(Refused, match="the record of release r9 cannot be read") as caught:
        rollback.inspect(tpp)
    assert caught.value.hint.startswith("as root: chown -R opensafely: ")


def test_a_rollback_is_refused_without_a_release_to_undo(fake_host):
    tpp = tpp_with(fake_host, replace(DEPLOYED, outcome="rolled back"))
    with pytest.raises(Refused, match="no release to go back to"):
        rollback.inspect(tpp)


@pytest.mark.parametrize("moved", [CODE, LIB], ids=["code", "lib"])
def test_a_rollback_is_refused_if_a_checkout_was_moved(fake_host, moved):
    tpp = tpp_with(fake_host, DEPLOYED)
    name = moved.path.strip("/")
    expect_inspection(tpp, "/snap", replace(FACTS, **{name: replace(moved, head="e" * 40)}))
    with pytest.raises(Refused, match=rf"/{name} is at v1, not where .* left it"):
        rollback.inspect(tpp)
