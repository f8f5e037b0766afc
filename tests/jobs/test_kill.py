"""`jobs.kill`: the steps, and running them while job-runner's loop interferes."""

import json

import pytest

from opstasks.core.errors import Incomplete, Interrupted, Lost, Refused, Unreachable, VerifyFailed
from opstasks.core.state import HostState
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.lock import Owner
from opstasks.jobs import job_runner
from opstasks.jobs import kill as jobs_kill
from opstasks.jobs.find import FIND, FindAnswer, FindRequest, FoundJob
from opstasks.jobs.logs import METADATA, MetadataAnswer, MetadataRequest
from opstasks.jobs.model import Container, Job, LogFile, Match
from tests.fake_host import ANY, Reply, failed, refused

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


def test_a_job_that_left_nothing_behind_needs_no_steps():
    assert steps(match("succeeded", "succeeded", "", None)) == ()
    assert steps(match("failed", "killed_by_admin", "exited"), cleanup=False) == ()


def test_a_second_kill_removes_what_the_first_kept():
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
def test_an_incomplete_kill_is_reported(now, cleanup, word):
    said = jobs_kill.not_done(now, match(), cleanup=cleanup)
    assert word in said if word else said == ""


def test_kill_refuses_a_job_that_runs_again_since_the_question():
    over = jobs_kill.plan(match("failed", "internal_error"), cleanup=False)
    now = jobs_kill.plan(match(), cleanup=False)
    with pytest.raises(Refused, match=r"is running .* again; you did not agree"):
        jobs_kill.check_shown(now, over.steps)
    jobs_kill.check_shown(now, now.steps)
    begun = jobs_kill.plan(match(), cleanup=True)
    # A pending job may have a container by now: that is expected.
    jobs_kill.check_shown(begun, ("mark as killed",))


def test_kill_removes_from_an_ended_job_only_what_was_shown():
    over = jobs_kill.plan(match("failed", "nonzero_exit", "exited"), cleanup=True)
    with pytest.raises(Refused, match="needs more steps: save log, remove container") as caught:
        jobs_kill.check_shown(over, ("remove volume",))
    assert "nothing was changed" in caught.value.hint
    jobs_kill.check_shown(over, over.steps)
    jobs_kill.check_shown(over, (*over.steps, "mark as killed"))


# -- job-runner's commands -------------------------------------------------------------------


@pytest.mark.parametrize("id", ["a%c", "a_c", "", "a b", "-rf", "$(x)", "é", "a;b"])
def test_kill_refuses_an_id_that_job_runner_reads_as_a_pattern(id):
    with pytest.raises(Refused):
        job_runner.check_id(match(id=id))


def test_kill_refuses_an_id_that_is_part_of_another():
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
    """The calls that a test expects on one host with the job abc, in order."""

    def __init__(self, host):
        self.host = host

    def locked(self):
        self.host.expect_lock("jobs.kill")
        return self

    def found(self, *states, logs=(), times=1, problem=""):
        """Expect one read of the job per state: state, status code, state of its container."""
        privacy = self.host.spec.high_privacy
        request = FindRequest(
            self.host.spec.database, ("abc",), f"{privacy}/logs", f"{privacy}/volumes"
        )
        for state, code, box in states:
            job = Job("abc", "w", "a", state, code)
            container = Container("os-job-abc", "i", box) if box else None
            found = FoundJob(job, {}, container, VOLUME if box else None, logs, problem)
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


def said(done):
    """What is said of each job."""
    return {id: job.describe() for id, job in done.jobs.items()}


def test_kill_marks_a_job_and_removes_it_after_the_service_ignores_it(script):
    script.locked().found(RUNNING).marked().found(MARKED, MARKED)
    script.killed().found(KILLED, KILLED)
    done = kill(script)
    assert (done.changed, said(done)) == (True, {"abc": "failed (killed_by_admin)"})
    assert script.host.steps == ["mark abc as killed", "kill abc"]


def test_kill_without_cleanup_removes_nothing(script):
    script.locked().found(RUNNING).marked().found(MARKED, MARKED)
    script.killed(cleanup=False).found(STOPPED, STOPPED)
    assert said(kill(script, cleanup=False)) == {"abc": "failed (killed_by_admin)"}


def test_a_missing_volume_that_was_to_be_kept_is_a_failure(script, monkeypatch):
    monkeypatch.setattr(jobs_kill, "KILL_TIMEOUT_S", 0)
    script.locked().found(RUNNING).marked().found(MARKED, MARKED)
    script.killed(cleanup=False).found(KILLED)
    with pytest.raises(VerifyFailed, match="was to be kept"):
        kill(script, cleanup=False)


def test_the_rest_of_an_ended_job_is_removed_at_once(script):
    script.locked().found(STOPPED).killed().found(KILLED, KILLED)
    assert kill(script).changed


def test_nothing_is_run_for_a_job_with_nothing_to_do(script):
    script.locked().found(KILLED)
    done = kill(script)
    assert (done.changed, done.killed) == (False, [])
    assert said(done) == {"abc": "nothing to do: failed (killed_by_admin)"}


def test_a_job_that_the_service_resumed_is_marked_again(script):
    script.locked().found(RUNNING).marked().found(RUNNING).marked()
    script.found(MARKED, MARKED).killed().found(KILLED, KILLED)
    assert kill(script).changed


def test_a_job_that_the_service_brings_back_is_killed_again(script):
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


def test_job_runners_command_does_everything_if_marking_fails(script):
    script.locked().found(RUNNING).marked(1).killed().found(KILLED, KILLED)
    assert said(kill(script)) == {"abc": "failed (killed_by_admin)"}


def test_a_failed_command_is_not_retried(script):
    script.locked().found(RUNNING).marked().found(MARKED, MARKED)
    script.killed(1, err="no space left").found(MARKED)
    with pytest.raises(VerifyFailed, match="container and volume") as caught:
        kill(script)
    assert caught.value.tail == "no space left"


def test_one_job_that_cannot_be_killed_does_not_keep_the_others(fake_host):
    host = fake_host()
    host.expect_lock("jobs.kill")

    def found(*rest):
        answer = {}
        for id, box in zip(("abc", "abd"), rest, strict=True):
            container = Container(f"os-job-{id}", "i", box) if box else None
            volume = ("volume", f"os-volume-{id}") if box else None
            answer[id] = (FoundJob(Job(id, "w", "a", *KILLED[:2]), {}, container, volume),)
        host.expect(FIND, ANY, FindAnswer(1.0, answer))

    found("exited", "exited")
    for ids, code in ((["abc", "abd"], 1), (["abc"], 1), (["abd"], 0)):
        command = job_runner.kill(host.spec, ids, cleanup=True)
        host.expect(command, Reply(code, "", f"volume of {ids[0]} is in use" if code else ""))
    found("exited", "")
    with pytest.raises(VerifyFailed, match="abc still has its container and volume") as caught:
        jobs_kill.apply(host, {"abc": STEPS, "abd": STEPS}, cleanup=True)
    assert caught.value.tail == "volume of abc is in use"
    assert "abd" not in caught.value.message


def test_a_command_that_failed_after_finishing_its_work_is_accepted(script):
    script.locked().found(STOPPED).killed(1).found(KILLED, KILLED)
    assert kill(script).changed


def test_an_end_that_the_service_recorded_first_is_reported(script):
    script.locked().found(RUNNING).marked().found(QUICKER, QUICKER)
    script.killed().found(QUICKER, QUICKER)
    assert said(kill(script)) == {"abc": "succeeded (succeeded): the service ended it first"}


def test_nothing_is_run_for_a_job_that_runs_again_since_the_question(script):
    script.locked().found(RUNNING)
    with pytest.raises(Refused, match="again; you did not agree to that"):
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


@pytest.mark.parametrize("reply", [refused("database is locked"), refused("there is no database")])
def test_a_database_that_cannot_be_read_after_the_mark_is_a_failure(script, reply):
    script.locked().found(RUNNING).marked()
    script.host.expect(FIND, ANY, reply)
    with pytest.raises(Incomplete, match="begun for abc, but the result is not known") as caught:
        kill(script)
    assert reply_reason(reply) in caught.value.message
    assert caught.value.hint == "inv -H tpp jobs.kill abc; it does the rest"


def reply_reason(reply):
    return json.loads(reply.out)["refused"]["reason"]


def test_a_docker_that_stops_after_the_mark_is_a_failure_with_the_jobs_state(script):
    script.locked().found(RUNNING).marked()
    script.found(MARKED, MARKED, problem="docker does not answer")
    script.killed(1, err="Cannot connect to the Docker daemon").found(
        MARKED, problem="docker does not answer"
    )
    with pytest.raises(VerifyFailed) as caught:
        kill(script)
    error = caught.value
    assert error.message == (
        "abc is failed (killed_by_admin), but its container is not known: docker does not answer"
    )
    assert error.tail == "Cannot connect to the Docker daemon"
    assert error.now == HostState(jobs={"abc": "failed (killed_by_admin)"})
    assert error.hint == "inv -H tpp jobs.kill abc; it does the rest"


def test_the_hint_keeps_the_wish_to_clean_up_nothing(script):
    script.locked().found(MARKED).killed(1, cleanup=False).found(MARKED)
    with pytest.raises(VerifyFailed) as caught:
        kill(script, cleanup=False)
    assert caught.value.hint == "inv -H tpp jobs.kill abc --no-cleanup; it does the rest"


def test_a_kill_claims_the_state_that_it_read_last(script):
    script.locked().found(STOPPED).killed().found(KILLED, KILLED)
    assert kill(script).now == HostState(jobs={"abc": "failed (killed_by_admin)"})


def test_after_ctrl_c_a_kill_that_is_nearly_done_is_finished_without_haste(script, monkeypatch):
    slept = []
    monkeypatch.setattr(jobs_kill, "SETTLE_S", 2.0)
    monkeypatch.setattr("time.sleep", slept.append)
    script.locked().found(RUNNING).marked().found(MARKED, MARKED)
    script.killed().found(KILLED, KILLED)
    script.host.stop.set()
    assert kill(script).changed
    assert slept == [2.0, 2.0]


def test_ctrl_c_while_waiting_says_that_the_next_run_does_the_rest(script, monkeypatch):
    monkeypatch.setattr(jobs_kill, "KILL_TIMEOUT_S", 60)
    script.locked().found(RUNNING).marked(1).killed().found(RUNNING)
    command = job_runner.kill(script.host.spec, ["abc"], cleanup=True)
    script.host.expect(command, Reply())
    script.host.stop.set()
    with pytest.raises(Interrupted, match="run it again to do the rest"):
        kill(script)


def logs():
    return (LogFile(PATH, 10),)


def test_a_secret_that_job_runner_saved_is_reported_by_name(script):
    script.locked().found(STOPPED).killed().found(KILLED, KILLED, logs=logs())
    script.host.expect(METADATA, MetadataRequest(PATH), MetadataAnswer({"a": 1}, ("DATABASE_URL",)))
    assert kill(script).exposed == {PATH: ("DATABASE_URL",)}


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (refused("cannot read it"), "cannot read it"),
        (failed("broken"), "broken"),
        (Reply(out=json.dumps({"ok": {"exposed": 1}})), "invalid response"),
        (Unreachable("connection lost"), "connection lost"),
    ],
)
def test_metadata_that_cannot_be_read_is_named_and_does_not_fail_the_kill(script, reply, why):
    script.locked().found(STOPPED).killed().found(KILLED, KILLED, logs=logs())
    script.host.expect(METADATA, MetadataRequest(PATH), reply)
    done = kill(script)
    assert (done.changed, done.exposed) == (True, {})
    assert why in done.unread[PATH]
