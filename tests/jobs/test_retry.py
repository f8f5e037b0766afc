"""jobs.retry where job-runner's own command fails between its two halves, on a strict fake host."""

import json

import pytest

from opstasks.core.errors import Refused, VerifyFailed
from opstasks.jobs import change as jobs_change
from tests.fake import FakeHost

UNIT = "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=5\nNRestarts=0\n"
TOLD, RETRY, MARKED = "api_post", "jobrunner.cli.retry_job", "test -e"
BROKEN = ("failed", "internal_error")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(jobs_change, "SETTLE_S", 0)


def answer(state, code):
    """What the host tells of the job; its container goes when it is over for good."""
    row = {"id": "abc", "workspace": "w", "action": "a", "state": state, "status_code": code}
    box = {"name": "os-job-abc", "image": "i", "state": "exited", "mount": []}
    kept = (state, code) == BROKEN or state == "running"
    around = {"container": box if kept else None, "volume": ["volume", "v"], "logs": []}
    found = {"now": 1.0, "matches": {"abc": [row]}, "around": {"abc": around}}
    return json.dumps(found)


def host(*states, marked=1, retried=0, told=0):
    rules = [
        (RETRY, (retried, "")),
        (TOLD, told if isinstance(told, list) else (told, "")),
        ("api_get", ""),
        ("systemctl show", UNIT),
        (MARKED, (marked, "")),
        ("mkdir -p", ""),
        ("touch ", ""),
        ("rm -f", ""),
        ("python3 -I -", [answer(*state) for state in states]),
    ]
    return FakeHost(rules)


def retry(host):
    return jobs_change.retry(host, "abc", wait_s=0).jobs["abc"]


def count(host, word):
    return len([line for line in host.seen if word in line])


def marker(host):
    """What was done about the mark, in order."""
    return [line.split()[0] for line in host.seen if "/untold/abc" in line and MARKED not in line]


def test_a_retry_is_marked_until_the_job_server_has_it():
    here = host(BROKEN, ("succeeded", "succeeded"))
    assert retry(here) == "succeeded (succeeded)"
    assert marker(here) == ["touch", "rm"]
    places = [next(i for i, line in enumerate(here.seen) if w in line) for w in ("touch ", RETRY)]
    assert places == sorted(places)
    assert count(here, TOLD) == 0


def test_a_retry_that_changed_nothing_leaves_no_mark():
    here = host(BROKEN, BROKEN, retried=1)
    with pytest.raises(VerifyFailed, match="was not retried"):
        retry(here)
    assert marker(here) == ["touch", "rm"]
    assert count(here, TOLD) == 0


def test_what_the_command_could_not_tell_is_told_again_at_once():
    here = host(
        BROKEN, ("running", "executing"), ("succeeded", "succeeded"), retried=1, told=[(1, ""), ""]
    )
    assert retry(here) == "succeeded (succeeded)"
    assert count(here, TOLD) == 2
    assert marker(here)[-1] == "rm"


def test_a_job_server_that_does_not_listen_leaves_the_mark_and_the_command_to_type():
    here = host(BROKEN, ("running", "executing"), retried=1, told=1)
    with pytest.raises(VerifyFailed, match="goes on, but the job-server was not told") as caught:
        retry(here)
    assert "inv -H tpp jobs.retry abc" in caught.value.hint
    assert count(here, TOLD) == jobs_change.TELLS
    assert marker(here) == ["touch"]


@pytest.mark.parametrize("state", [("succeeded", "succeeded"), ("running", "executing")])
def test_a_marked_job_is_not_retried_again_and_the_job_server_told(state):
    here = host(state, state, marked=0)
    assert retry(here) == "{} ({})".format(*state)
    assert (count(here, RETRY), count(here, TOLD)) == (0, 1)
    assert marker(here) == ["rm"]


def test_a_marked_job_that_went_wrong_again_is_retried():
    here = host(BROKEN, ("succeeded", "succeeded"), marked=0)
    retry(here)
    assert (count(here, RETRY), count(here, TOLD)) == (1, 0)


def test_an_unmarked_job_that_is_over_is_refused_and_nothing_is_told():
    here = host(("succeeded", "succeeded"))
    with pytest.raises(Refused, match="only internal errors"):
        retry(here)
    assert (count(here, RETRY), count(here, TOLD), marker(here)) == (0, 0, [])
