"""jobs.kill where job-runner's loop gets in the way, on a strict fake host."""

import json

import pytest

from opstasks.core.errors import Refused, VerifyFailed
from opstasks.jobs import change as jobs_change
from tests.fake import FakeHost

KILL, MARK = "jobrunner.cli.kill_job", "mark_job_as_failed"
RUNNING, QUICKER = ("running", "executing", "running"), ("succeeded", "succeeded")
KILLED = ("failed", "killed_by_admin")
MARKED, STOPPED = (*KILLED, "running"), (*KILLED, "exited")
STEPS = ("mark as killed", "stop container", "save log", "remove container", "remove volume")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name, seconds in (("SETTLE_S", 0), ("POLL_S", 0.05), ("KILL_WITHIN_S", 0.4)):
        monkeypatch.setattr(jobs_change, name, seconds)


def answer(state, code, left=""):
    """What the host tells of the job; `left` is the state of a container that is left of it."""
    row = {"id": "abc", "workspace": "w", "action": "a", "state": state, "status_code": code}
    box = {"name": "os-job-abc", "image": "i", "state": left, "mount": []}
    around = {"container": box if left else None, "volume": ["volume", "v"] if left else []}
    around["logs"] = []
    return json.dumps({"now": 1.0, "matches": {"abc": [row]}, "around": {"abc": around}})


def host(*states, marked=0, killed=0):
    """A host that is found so, look by look; the last state stays."""
    looks = [answer(*state) for state in (*states, *[states[-1]] * 20)]
    return FakeHost([(KILL, (killed, "")), (MARK, (marked, "")), ("python3 -I -", looks)])


def kill(host, shown=STEPS, cleanup=True):
    return jobs_change.kill(host, {"abc": shown}, cleanup=cleanup)


def did(host):
    """What was done to the job, in order."""
    words = {MARK: "mark", f"{KILL} --cleanup": "remove", f"{KILL} abc": "kill"}
    return [name for line in host.seen for word, name in words.items() if word in line]


def test_a_job_is_marked_and_removed_once_the_service_has_let_go():
    here = host(RUNNING, MARKED, MARKED, KILLED)
    done = kill(here)
    assert (done.changed, done.jobs) == (True, {"abc": "failed (killed_by_admin)"})
    assert did(here) == ["mark", "remove"]


def test_what_is_to_be_kept_is_never_removed():
    here = host(RUNNING, MARKED, MARKED, STOPPED)
    kill(here, cleanup=False)
    assert did(here) == ["mark", "kill"]
    with pytest.raises(VerifyFailed, match="was to be kept"):
        kill(host(RUNNING, MARKED, MARKED, KILLED), cleanup=False)


def test_of_a_job_that_is_over_the_rest_is_removed_at_once():
    here = host(STOPPED, KILLED)
    kill(here)
    assert did(here) == ["remove"]


def test_a_job_that_the_service_took_up_once_more_is_marked_again():
    here = host(RUNNING, RUNNING, MARKED, MARKED, KILLED)
    kill(here)
    assert did(here) == ["mark", "mark", "remove"]


def test_a_job_that_the_service_brings_back_after_all_is_killed_again():
    here = host(RUNNING, MARKED, MARKED, RUNNING, KILLED)
    kill(here)
    assert did(here) == ["mark", "remove", "remove"]


def test_a_job_that_will_not_be_marked_is_a_failure_and_nothing_of_it_is_touched():
    here = host(RUNNING)
    with pytest.raises(VerifyFailed, match=r"abc is still running \(executing\)"):
        kill(here)
    assert did(here) == ["mark"] * (1 + jobs_change.KILL_AGAIN)


def test_where_it_cannot_be_marked_first_job_runners_command_does_it_all():
    here = host(RUNNING, KILLED, marked=1)
    kill(here)
    assert did(here) == ["mark", "remove"]


def test_a_command_that_failed_is_not_tried_again():
    here = host(RUNNING, MARKED, killed=1)
    with pytest.raises(VerifyFailed, match="container and volume"):
        kill(here)
    assert did(here) == ["mark", "remove"]


def test_a_job_whose_end_the_service_noted_is_said_to_have_ended():
    done = kill(host(RUNNING, QUICKER))
    assert done.jobs == {"abc": "succeeded (succeeded): the service ended it first"}


def test_nothing_runs_for_a_job_that_came_to_life_after_the_question():
    here = host(RUNNING)
    with pytest.raises(Refused, match="again: you were not asked that"):
        kill(here, shown=())
    assert did(here) == []
