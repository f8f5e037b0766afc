"""`jobs.kill`: what is to be done, and doing it while job-runner's loop interferes."""

import json

import pytest

from opstasks.core.errors import Interrupted, Lost, Refused, Unreachable, VerifyFailed
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.lock import Owner
from opstasks.jobs import job_runner
from opstasks.jobs import kill as jobs_kill
from opstasks.jobs.find import FIND, FindAnswer, FindRequest, FoundJob
from opstasks.jobs.logs import METADATA, MetadataAnswer, MetadataRequest
from opstasks.jobs.model import Container, Job, LogFile, Match
from tests.fake_host import Reply, failed, refused

VOLUME = ("volume", "os-volume-abc")
STEPS = ("mark as killed", "stop container", "save log", "remove container", "remove volume")
PATH = "/srv/high_privacy/logs/2026-11/os-job-abc/metadata.json"


# -- deciding --------------------------------------------------------------------------------


def match(state="running", code="executing", box="running", volume=VOLUME, id="abc"):
    container = Container(f"os-job-{id}", "i", box) if box else None
    return Match("h", Job(id, "ws", "act", state, code), container, volume)


def steps(found, cleanup=True):
    return jobs_kill.plan(found, cleanup=cleanup).steps


def test_a_running_job_is_stopped_and_removed():
    assert steps(match()) == STEPS
    assert steps(match(), cleanup=False) == STEPS[:3]


def test_a_pending_job_is_only_marked():
    assert steps(match("pending", "created", "", None)) == ("mark as killed",)


def test_nothing_is_done_about_a_job_of_which_nothing_is_left():
    assert steps(match("succeeded", "succeeded", "", None)) == ()
    assert steps(match("failed", "killed_by_admin", "exited"), cleanup=False) == ()


def test_what_an_earlier_kill_kept_is_removed_later():
    assert steps(match("failed", "killed_by_admin", "exited")) == STEPS[2:]


@pytest.mark.parametrize(
    ("now", "cleanup", "word"),
    [
        (match("failed", "killed_by_admin", "", None), True, ""),
        (match("failed", "killed_by_admin", "exited"), False, ""),
        (match("succeeded", "succeeded", "", None), True, ""),
        (match("failed", "killed_by_admin", "exited"), True, "container and volume"),
        (match("failed", "killed_by_admin"), False, "still runs"),
        (match("failed", "killed_by_admin", "paused"), False, "still runs"),
        (match("failed", "killed_by_admin", "exited", None), False, "was to be kept"),
        (match(), True, "abc is still running (executing)"),
    ],
)
def test_what_a_kill_left_undone_is_reported(now, cleanup, word):
    said = jobs_kill.not_done(now, match(), cleanup=cleanup)
    assert word in said if word else said == ""


def test_a_job_that_runs_again_since_the_question_is_refused():
    over = jobs_kill.plan(match("failed", "internal_error"), cleanup=False)
    now = jobs_kill.plan(match(), cleanup=False)
    with pytest.raises(Refused, match=r"is running .* again: you were not asked"):
        jobs_kill.check_shown(now, over.steps)
    jobs_kill.check_shown(now, now.steps)
    begun = jobs_kill.plan(match(), cleanup=True)
    # A job that was pending when it was shown has a container by now: that is expected.
    jobs_kill.check_shown(begun, ("mark as killed",))


def test_nothing_of_a_job_that_is_over_is_removed_unless_it_was_shown():
    over = jobs_kill.plan(match("failed", "nonzero_exit", "exited"), cleanup=True)
    with pytest.raises(Refused, match="save log, remove container as well") as caught:
        jobs_kill.check_shown(over, ("remove volume",))
    assert "nothing was changed" in caught.value.hint
    jobs_kill.check_shown(over, over.steps)
    jobs_kill.check_shown(over, (*over.steps, "mark as killed"))


# -- job-runner's commands -------------------------------------------------------------------


@pytest.mark.parametrize("id", ["a%c", "a_c", "", "a b", "-rf", "$(x)", "é", "a;b"])
def test_an_id_that_job_runner_would_read_as_a_pattern_is_refused(id):
    with pytest.raises(Refused):
        job_runner.check_id(match(id=id))


def test_an_id_that_is_part_of_another_is_refused():
    job = Job("abc", "w", "a", "running")
    with pytest.raises(Refused):
        job_runner.check_id(Match("h", job, alike=1))
    job_runner.check_id(Match("h", job, alike=0))


def test_job_runner_gets_ids_as_arguments_and_one_empty_line():
    command = job_runner.kill(HostSpec(name="h"), ["$(id)"], cleanup=True)
    assert command.args[-2:] == ("--cleanup", "$(id)")
    assert command.args[4:6] == (
        "/home/opensafely/config/load-env",
        "/home/opensafely/jobrunner/code",
    )
    assert command.stdin == "\n"


# -- doing it --------------------------------------------------------------------------------

RUNNING, QUICKER = ("running", "executing", "running"), ("succeeded", "succeeded", "")
KILLED = ("failed", "killed_by_admin", "")
MARKED, STOPPED = ("failed", "killed_by_admin", "running"), ("failed", "killed_by_admin", "exited")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name, seconds in (("SETTLE_S", 0), ("POLL_S", 0.05), ("KILL_TIMEOUT_S", 0.4)):
        monkeypatch.setattr(jobs_kill, name, seconds)


class Script:
    """What a test expects of one host with the job abc, in order."""

    def __init__(self, host):
        self.host = host

    def locked(self):
        self.host.expect_lock("jobs.kill")
        return self

    def found(self, *states, logs=(), times=1):
        """The job is read once for each state: state, status code, state of its container."""
        privacy = self.host.spec.high_privacy
        request = FindRequest(
            self.host.spec.database, ("abc",), f"{privacy}/logs", f"{privacy}/volumes"
        )
        for state, code, box in states:
            job = Job("abc", "w", "a", state, code)
            container = Container("os-job-abc", "i", box) if box else None
            found = FoundJob(job, {}, container, VOLUME if box else None, logs)
            self.host.expect(FIND, request, FindAnswer(1.0, {"abc": (found,)}), times=times)
        return self

    def marked(self, code=0):
        self.host.expect(job_runner.mark(self.host.spec, ["abc"]), Reply(code))
        return self

    def killed(self, code=0, *, cleanup=True, err=""):
        command = job_runner.kill(self.host.spec, ["abc"], cleanup=cleanup)
        self.host.expect(command, Reply(code, "", err))
        return self


@pytest.fixture
def script(fake_host):
    return Script(fake_host())


def kill(script, shown=STEPS, cleanup=True):
    return jobs_kill.apply(script.host, {"abc": shown}, cleanup=cleanup)


def test_a_job_is_marked_and_removed_once_the_service_has_let_go(script):
    script.locked().found(RUNNING).marked().found(MARKED, MARKED)
    script.killed().found(KILLED, KILLED)
    done = kill(script)
    assert (done.changed, done.jobs) == (True, {"abc": "failed (killed_by_admin)"})
    assert script.host.steps == ["mark abc as killed", "kill abc"]


def test_what_is_to_be_kept_is_never_removed(script):
    script.locked().found(RUNNING).marked().found(MARKED, MARKED)
    script.killed(cleanup=False).found(STOPPED, STOPPED)
    assert kill(script, cleanup=False).jobs == {"abc": "failed (killed_by_admin)"}


def test_a_volume_that_was_to_be_kept_and_is_gone_is_a_failure(script, monkeypatch):
    monkeypatch.setattr(jobs_kill, "KILL_TIMEOUT_S", 0)
    script.locked().found(RUNNING).marked().found(MARKED, MARKED)
    script.killed(cleanup=False).found(KILLED)
    with pytest.raises(VerifyFailed, match="was to be kept"):
        kill(script, cleanup=False)


def test_the_rest_of_a_job_that_is_over_is_removed_at_once(script):
    script.locked().found(STOPPED).killed().found(KILLED, KILLED)
    assert kill(script).changed


def test_nothing_is_run_for_a_job_with_nothing_to_do(script):
    script.locked().found(KILLED)
    done = kill(script)
    assert (done.changed, done.jobs) == (False, {"abc": "nothing to do: failed (killed_by_admin)"})


def test_a_job_that_the_service_took_up_once_more_is_marked_again(script):
    script.locked().found(RUNNING).marked().found(RUNNING).marked()
    script.found(MARKED, MARKED).killed().found(KILLED, KILLED)
    assert kill(script).changed


def test_a_job_that_the_service_brings_back_after_all_is_killed_again(script):
    script.locked().found(RUNNING).marked().found(MARKED, MARKED)
    script.killed().found(RUNNING).killed().found(KILLED, KILLED)
    assert kill(script).changed
    assert script.host.steps[-1] == "kill abc again, the service brought it back"


def test_a_job_that_stays_active_is_a_failure_and_not_touched(script):
    script.locked().found(RUNNING, times=None)
    for _ in range(1 + jobs_kill.KILL_AGAIN):
        script.marked()
    with pytest.raises(VerifyFailed, match=r"abc is still running \(executing\)"):
        kill(script)


def test_where_marking_fails_job_runners_command_does_it_all(script):
    script.locked().found(RUNNING).marked(1).killed().found(KILLED, KILLED)
    assert kill(script).jobs == {"abc": "failed (killed_by_admin)"}


def test_a_command_that_failed_is_not_tried_again(script):
    script.locked().found(RUNNING).marked().found(MARKED, MARKED)
    script.killed(1, err="no space left").found(MARKED)
    with pytest.raises(VerifyFailed, match="container and volume") as caught:
        kill(script)
    assert caught.value.tail == "no space left"


def test_a_command_that_failed_after_its_work_was_done_is_no_failure(script):
    script.locked().found(STOPPED).killed(1).found(KILLED, KILLED)
    assert kill(script).changed


def test_an_end_that_the_service_recorded_first_is_reported(script):
    script.locked().found(RUNNING).marked().found(QUICKER, QUICKER)
    script.killed().found(QUICKER, QUICKER)
    assert kill(script).jobs == {"abc": "succeeded (succeeded): the service ended it first"}


def test_nothing_is_run_for_a_job_that_runs_again_since_the_question(script):
    script.locked().found(RUNNING)
    with pytest.raises(Refused, match="again: you were not asked that"):
        kill(script, shown=())


def test_nothing_is_run_while_another_person_changes_the_host(script):
    owner = Owner(who="ann@laptop", task="deploy", since="2026-11-24T10:00:00Z", run_id="1")
    script.host.expect_lock("jobs.kill", held_by=owner)
    with pytest.raises(Refused, match="ann@laptop"):
        kill(script)


def test_a_connection_lost_while_killing_is_an_unknown_state(script):
    script.locked().found(STOPPED)
    command = job_runner.kill(script.host.spec, ["abc"], cleanup=True)
    script.host.expect(command, Unreachable("connection lost", host="tpp"))
    with pytest.raises(Lost, match="may or may not have been done"):
        kill(script)


def test_ctrl_c_while_waiting_says_that_another_run_does_the_rest(script, monkeypatch):
    monkeypatch.setattr(jobs_kill, "KILL_TIMEOUT_S", 60)
    script.locked().found(RUNNING).marked(1).killed().found(RUNNING)
    command = job_runner.kill(script.host.spec, ["abc"], cleanup=True)
    script.host.expect(command, Reply())
    script.host.stop.set()
    with pytest.raises(Interrupted, match="run it again, it does what is left"):
        kill(script)


def logs():
    return (LogFile(PATH, 10),)


def test_a_secret_that_job_runner_saved_is_reported_by_name(script):
    script.locked().found(STOPPED).killed().found(KILLED, KILLED, logs=logs())
    script.host.expect(METADATA, MetadataRequest(PATH), MetadataAnswer({"a": 1}, ("DATABASE_URL",)))
    assert kill(script).notes == (f"{PATH} holds the value of DATABASE_URL as plain text",)


@pytest.mark.parametrize(
    "reply",
    [refused("cannot read it"), failed("broken"), Reply(out=json.dumps({"ok": {"exposed": 1}}))],
)
def test_metadata_that_cannot_be_read_does_not_fail_the_kill(script, reply):
    script.locked().found(STOPPED).killed().found(KILLED, KILLED, logs=logs())
    script.host.expect(METADATA, MetadataRequest(PATH), reply)
    done = kill(script)
    assert (done.changed, done.notes) == (True, ())
