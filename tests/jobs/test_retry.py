"""`jobs.retry`: which jobs can be retried, and failures between job-runner's two steps."""

import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import Incomplete, Interrupted, Refused, VerifyFailed
from opstasks.core.state import HostState
from opstasks.jobs import job_runner
from opstasks.jobs import retry as jobs_retry
from opstasks.jobs.find import FIND, FindAnswer, FindRequest, FoundJob
from opstasks.jobs.model import Container, Job, Match
from opstasks.jobs.retry import RetryFacts
from opstasks.primitives import systemd
from opstasks.primitives.systemd import UnitState
from tests.fake_host import ANY, Reply, refused

VOLUME = ("volume", "os-volume-abc")
UP = UnitState("jobrunner", "loaded", "active", "running")
DOWN = UnitState("jobrunner", "loaded", "inactive", "dead")
STARTING = UnitState("jobrunner", "loaded", "activating", "auto-restart")


# -- deciding --------------------------------------------------------------------------------


def match(state="failed", code="internal_error", box="exited", volume=VOLUME, message=""):
    container = Container("os-job-abc", "i", box) if box else None
    job = Job("abc", "ws", "act", state, code, status_message=message)
    return Match("h", job, container, volume)


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (match("succeeded", "succeeded", ""), "only internal errors"),
        (match("running", "executing"), "only internal errors"),
        (match(box=""), "no longer has a container"),
        (match(box="running"), "still running"),
        (match(volume=None), "no longer has a volume"),
    ],
)
def test_retry_refuses_with_the_reason(found, word):
    with pytest.raises(Refused, match=word):
        jobs_retry.plan(found, RetryFacts(UP))


def test_an_internal_error_with_container_and_volume_can_be_retried():
    plan = jobs_retry.plan(match(), RetryFacts(UP))
    assert (plan.serving, plan.only_tell, plan.notes) == (True, False, ())
    assert plan.step == "retry, from volume os-volume-abc"


def test_a_retried_job_that_is_not_handled_yet_can_be_retried():
    jobs_retry.check_state(match("running", "executing", message=jobs_retry.RETRIED))


def test_retry_refuses_while_the_job_server_does_not_answer():
    with pytest.raises(Refused, match="the job-server does not answer") as caught:
        jobs_retry.plan(match(), RetryFacts(UP, job_server_problem="Connection refused"))
    assert caught.value.tail == "Connection refused"


@pytest.mark.parametrize(("unit", "serving"), [(DOWN, False), (STARTING, True)])
def test_a_plan_notes_that_the_service_is_not_running(unit, serving):
    plan = jobs_retry.plan(match(), RetryFacts(unit))
    assert plan.serving == serving
    assert plan.notes == (f"the service is {unit.describe()}: the job will not continue yet",)


def test_an_unreported_retry_only_tells_the_job_server():
    over = match("succeeded", "succeeded", "", None)
    plan = jobs_retry.plan(over, RetryFacts(UP, is_untold=True))
    assert (plan.only_tell, plan.step) == (True, "tell the job-server")
    assert not jobs_retry.plan(match(), RetryFacts(UP, is_untold=True)).only_tell


# -- doing it --------------------------------------------------------------------------------

SHOWN_UP = "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=5\nNRestarts=0\n"
BROKEN, DONE, RUNS = (
    ("failed", "internal_error", "exited"),
    ("succeeded", "succeeded", ""),
    ("running", "executing", "exited"),
)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(jobs_retry, "TELL_AGAIN_S", 0)
    monkeypatch.setattr(jobs_retry, "POLL_S", 0.01)


class Script:
    """The calls that a test expects on one host with the job abc, in order."""

    def __init__(self, host):
        self.host, self.spec = host, host.spec
        self.marker = f"{host.spec.state_dir}/untold/abc"

    def found(self, *states, problem=""):
        """Expect one read of the job per state: state, status code, state of its container."""
        privacy = self.spec.high_privacy
        request = FindRequest(self.spec.database, ("abc",), f"{privacy}/logs", f"{privacy}/volumes")
        for state, code, box in states:
            job = Job("abc", "w", "a", state, code)
            container = Container("os-job-abc", "i", box) if box else None
            found = FoundJob(job, {}, container, VOLUME, docker_problem=problem)
            self.host.expect(FIND, request, FindAnswer(1.0, {"abc": (found,)}))
        return self

    def begins(self, state, *, marked=False, asked=0):
        """Expect the lock, the job, and the facts for the decision."""
        self.host.expect_lock("jobs.retry")
        self.found(state)
        self.host.expect(systemd.show(self.spec.unit), SHOWN_UP)
        self.host.expect(cmd("test", "-e", self.marker), Reply(0 if marked else 1))
        self.host.expect(job_runner.ask_job_server(self.spec), Reply(asked, "", "a\nno answer"))
        return self

    def retried(self, code=0):
        """Expect the mark, then the retry."""
        self.host.expect(cmd("mkdir", "-p", f"{self.spec.state_dir}/untold"))
        self.host.expect(cmd("touch", self.marker))
        self.host.expect(job_runner.retry(self.spec, "abc"), Reply(code, "", "no job-server"))
        return self

    def told(self, *codes):
        for code in codes:
            command = job_runner.tell_job_server(self.spec, "abc")
            self.host.expect(command, Reply(code, "", "one\ntwo"))
        return self

    def unmarked(self):
        self.host.expect(cmd("rm", "-f", self.marker))
        return self


@pytest.fixture
def script(fake_host):
    return Script(fake_host())


def retry(script, wait_s=0.0):
    done = jobs_retry.apply(script.host, "abc", wait_s=wait_s)
    assert done.is_over == (done.state != "running")
    return f"{done.state} ({done.status_code})"


def test_a_retry_is_marked_until_the_job_server_was_told(script):
    script.begins(BROKEN).retried().unmarked().found(DONE)
    assert retry(script) == "succeeded (succeeded)"


def test_a_retry_waits_until_the_job_is_over(script):
    script.begins(BROKEN).retried().unmarked().found(RUNS, RUNS, DONE)
    assert retry(script, 60) == "succeeded (succeeded)"
    assert script.host.steps == [
        "retry abc",
        "wait until job-runner is done with it",
    ]


def test_a_retry_that_outlasts_the_wait_is_reported_as_running(script):
    script.begins(BROKEN).retried().unmarked().found(RUNS)
    assert retry(script) == "running (executing)"


@pytest.mark.parametrize("code", [0, 1])
def test_a_database_that_cannot_be_read_after_the_retry_is_a_failure(script, code):
    script.begins(BROKEN).retried(code)
    if not code:
        script.unmarked()
    script.host.expect(FIND, ANY, refused("database is locked"))
    with pytest.raises(Incomplete, match=r"begun for abc, .*database is locked") as caught:
        jobs_retry.apply(script.host, "abc", wait_s=5)
    assert caught.value.hint == "inv -H tpp jobs.show abc"


def test_a_docker_that_stops_after_the_retry_does_not_hide_the_jobs_end(script):
    script.begins(BROKEN).retried().unmarked().found(DONE, problem="docker does not answer")
    done = jobs_retry.apply(script.host, "abc", wait_s=5)
    assert done.now == HostState(jobs={"abc": "succeeded (succeeded)"})


def test_ctrl_c_while_waiting_says_that_the_job_continues(script):
    script.begins(BROKEN).retried().unmarked().found(RUNS)
    script.host.stop.set()
    with pytest.raises(Interrupted, match="abc was retried, job-runner continues it"):
        retry(script, 60)


def test_a_job_that_failed_again_is_a_failure(script):
    script.begins(BROKEN).retried().unmarked().found(BROKEN)
    with pytest.raises(VerifyFailed, match="abc failed again"):
        retry(script)


def test_a_retry_that_changed_nothing_leaves_no_mark(script):
    script.begins(BROKEN).retried(1).found(BROKEN).unmarked()
    with pytest.raises(VerifyFailed, match="was not retried") as caught:
        retry(script)
    assert caught.value.tail == "no job-server"


@pytest.mark.parametrize("which", ["mkdir", "touch"])
def test_a_job_that_cannot_be_marked_is_not_retried(script, which):
    closed = Reply(1, err=f"{which}: Permission denied")
    script.begins(BROKEN)
    folder = f"{script.spec.state_dir}/untold"
    script.host.expect(cmd("mkdir", "-p", folder), closed if which == "mkdir" else "")
    script.host.expect(cmd("touch", script.marker), closed)
    with pytest.raises(Refused, match=f"cannot note in {folder}") as caught:
        retry(script)
    assert caught.value.tail == f"{which}: Permission denied"


def test_a_mark_that_cannot_be_removed_is_not_called_a_failed_retry(script):
    script.begins(BROKEN).retried()
    script.host.expect(cmd("rm", "-f", script.marker), Reply(1, err="Read-only file system"))
    with pytest.raises(VerifyFailed, match="the job was retried and the job-server was told"):
        retry(script)
    script.begins(BROKEN).retried(1).found(BROKEN)
    script.host.expect(cmd("rm", "-f", script.marker), Reply(1, err="Read-only file system"))
    with pytest.raises(VerifyFailed, match="the job was not retried"):
        retry(script)


def test_a_report_that_failed_is_sent_again_at_once(script):
    script.begins(BROKEN).retried(1).found(RUNS).told(1, 0).unmarked().found(DONE)
    assert retry(script) == "succeeded (succeeded)"


def test_the_mark_stays_if_the_job_server_never_accepts_the_report(script):
    script.begins(BROKEN).retried(1).found(RUNS).told(*[1] * jobs_retry.TELLS)
    with pytest.raises(
        VerifyFailed, match="was retried, but the job-server was not told"
    ) as caught:
        retry(script)
    assert "inv -H tpp jobs.retry abc" in caught.value.hint
    assert caught.value.tail == "two"


@pytest.mark.parametrize("state", [DONE, RUNS])
def test_a_marked_job_is_reported_and_not_retried_again(script, state):
    script.begins(state, marked=True).told(0).unmarked().found(state)
    assert retry(script) == "{} ({})".format(*state)


def test_a_marked_job_with_a_new_internal_error_is_retried(script):
    script.begins(BROKEN, marked=True).retried().unmarked().found(DONE)
    assert retry(script) == "succeeded (succeeded)"


def test_an_unmarked_ended_job_is_refused_and_not_reported(script):
    script.begins(DONE)
    with pytest.raises(Refused, match="only internal errors"):
        retry(script)


def test_retry_changes_nothing_if_the_job_server_does_not_answer(script):
    script.begins(BROKEN, asked=1)
    with pytest.raises(Refused, match="the job-server does not answer") as caught:
        retry(script)
    assert caught.value.tail == "no answer"


def test_an_ambiguous_id_is_refused_before_any_round_trip(fake_host):
    with pytest.raises(Refused, match="other jobs as well"):
        jobs_retry.inspect(fake_host(), Match("h", Job("abc", "w", "a", "failed"), alike=1))
