"""The host's side of a release: whether the service is healthy, and what says nothing of it."""

import contextlib
import sqlite3
import subprocess

import pytest

from opstasks.deploy.onhost import database_read, jobs, service, service_log
from opstasks.deploy.onhost.record import snapshot_path
from opstasks.onhost import unit_control, unit_state
from opstasks.onhost.database_copy import copy_database
from opstasks.onhost.database_values import open_read_only
from opstasks.onhost.protocol import HostFailure
from tests.deploy.deploy_help import database, record


def test_a_service_between_two_crashes_should_be_up():
    assert unit_state.is_wanted({"ActiveState": "activating", "SubState": "auto-restart"})
    assert unit_state.is_wanted({"ActiveState": "failed"})
    assert not unit_state.is_wanted({"ActiveState": "inactive"})


def test_exceptions_are_found_in_tracebacks():
    log = [
        "2024 run started",
        "Traceback (most recent call last):",
        '  File "x", line 1',
        "    boom()",
        "requests.exceptions.ConnectionError: no",
        "Traceback (most recent call last):",
        '  File "y"',
        "KeyError: 'x'",
    ]
    assert service_log.exceptions(log) == {"requests.exceptions.ConnectionError", "KeyError"}
    assert service_log.exceptions(["no such thing"]) == set()


def test_a_log_without_the_started_line_is_not_healthy():
    with pytest.raises(HostFailure, match="did not log"):
        service_log.judge("jobrunner", ["something"], set())


def test_a_traceback_fails_unless_the_previous_release_had_it():
    log = ["jobrunner.service started", "Traceback (most recent call last):", " x", "KeyError: 1"]
    with pytest.raises(HostFailure, match="KeyError"):
        service_log.judge("jobrunner", log, set())
    assert service_log.judge("jobrunner", log, {"KeyError"}) == ["KeyError"]


# -- the watch -------------------------------------------------------------------------------

STARTED = ["jobrunner.service started"]
UP = {
    "ActiveState": "active",
    "SubState": "running",
    "MainPID": "5",
    "NRestarts": "0",
    "ActiveEnterTimestampMonotonic": "10",
    "InvocationID": "1f",
}
BY_HAND = {**UP, "MainPID": "6", "InvocationID": "2f"}
STOPPED = {
    **UP,
    "ActiveState": "inactive",
    "MainPID": "0",
    "ActiveExitTimestampMonotonic": "20",
    "ExecMainExitTimestampMonotonic": "21",
}


class Host:
    """A unit with these states, one a look, and its log; None for a log that is not read."""

    def __init__(self, monkeypatch, states, log, *, records=True):
        self.states, self.log, self.records = list(states), log, records
        self.verbs = []
        self.choices: list[tuple[str, ...]] = []
        self.now_s = 0.0
        monkeypatch.setattr(service, "unit_state", lambda spec: self.look())
        monkeypatch.setattr(service, "settled", lambda unit: self.look())
        monkeypatch.setattr(unit_control, "start", lambda unit: self.verbs.append("start"))
        monkeypatch.setattr(unit_control, "stop", lambda unit: self.verbs.append("stop"))
        monkeypatch.setattr(service_log, "lines", self.read)
        monkeypatch.setattr(service_log, "is_recording", lambda: self.records)
        monkeypatch.setattr(service.time, "sleep", self.sleep)
        monkeypatch.setattr(service.time, "monotonic", lambda: self.now_s)

    def look(self):
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def read(self, unit, *options):
        self.choices.append(options)
        return self.log

    def sleep(self, seconds):
        self.now_s += seconds


@pytest.fixture
def spec(release_spec):
    return {**release_spec, "watch_s": 2}


def test_a_good_release_is_watched_without_notes(monkeypatch, spec):
    host = Host(monkeypatch, [STOPPED, UP], STARTED)
    assert service.start_and_watch(spec, []) == ([], [])
    assert host.verbs == ["start"]
    assert host.now_s == 2


def test_a_service_that_somebody_started_is_started_again(monkeypatch, spec):
    host = Host(monkeypatch, [UP], STARTED)
    (note,) = service.start_and_watch(spec, []).notes
    assert "somebody started jobrunner" in note
    assert host.verbs == ["stop", "start"]


def test_a_restart_by_hand_is_noted_and_watched_for_the_whole_time(monkeypatch, spec):
    host = Host(monkeypatch, [STOPPED, UP, UP, BY_HAND], STARTED)
    (note,) = service.start_and_watch(spec, []).notes
    assert note.startswith("somebody restarted jobrunner")
    assert host.now_s == 2.5
    # It may have logged its start before we saw that it was restarted.
    assert host.choices[-1] == ("_SYSTEMD_INVOCATION_ID=2f",)


def test_a_service_that_somebody_restarts_without_end_is_not_watched_forever(monkeypatch, spec):
    states = [{**UP, "MainPID": str(number)} for number in range(5, 500)]
    Host(monkeypatch, [STOPPED, *states], STARTED)
    with pytest.raises(HostFailure, match="again and again"):
        service.start_and_watch(spec, [])


@pytest.mark.parametrize(
    ("fallen", "text"),
    [
        (STOPPED, "somebody stopped jobrunner"),
        (
            {**STOPPED, "ExecMainExitTimestampMonotonic": "19", "ExecMainCode": "1"},
            "did not stay up .*: its process ended with exit code 0",
        ),
    ],
    ids=["stopped", "ended"],
)
def test_a_service_that_falls_says_who_or_what_ended_it(monkeypatch, spec, fallen, text):
    Host(monkeypatch, [STOPPED, UP, UP, fallen], STARTED)
    with pytest.raises(HostFailure, match=text):
        service.start_and_watch(spec, [])


@pytest.mark.parametrize(
    ("log", "records"), [(None, True), (None, False), ([], False)], ids=["unread", "hung", "empty"]
)
def test_a_log_that_is_not_recorded_is_not_judged(monkeypatch, spec, log, records):
    host = Host(monkeypatch, [STOPPED, UP], log, records=records)
    watched = service.start_and_watch(spec, [])
    assert watched.notes == ["its log was not judged: journald does not record it"]
    assert host.now_s == 2


def test_a_recorded_log_without_the_start_is_still_judged(monkeypatch, spec):
    Host(monkeypatch, [STOPPED, UP], [], records=True)
    with pytest.raises(HostFailure, match="did not log that it started"):
        service.start_and_watch(spec, [])


def test_a_log_that_hangs_has_a_time_limit(monkeypatch):
    def hang(*words, timeout_s):
        return subprocess.CompletedProcess(words, 124, "", f"no answer within {timeout_s} s")

    monkeypatch.setattr(service_log, "attempt", hang)
    assert service_log.lines("jobrunner") is None
    assert service_log.from_now("jobrunner").read() is None


# -- the jobs --------------------------------------------------------------------------------


@pytest.fixture
def copied(release_spec, tmp_path):
    """A database with a running job, and its snapshot."""
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(release_spec))
    record(release_spec, release_spec["id"], containers=["os-job-a"])
    return source


def test_a_docker_that_does_not_answer_loses_no_job(monkeypatch, release_spec, copied):
    def hang(reason, *words, **options):
        assert options["timeout"]
        raise HostFailure(reason)

    monkeypatch.setattr(jobs, "required", hang)
    text = "the containers of jobs were not checked: docker does not answer"
    assert jobs.check_jobs(release_spec) == text


def test_a_running_job_without_a_container_is_lost(monkeypatch, release_spec, copied):
    monkeypatch.setattr(jobs, "required", lambda reason, *words, **options: "")
    with pytest.raises(HostFailure, match="jobs were lost: a") as caught:
        jobs.check_jobs(release_spec)
    assert caught.value.detail == "a: its container is gone, its row says running"


def test_a_locked_database_loses_no_job(monkeypatch, release_spec, copied):
    quick = lambda path, timeout_s=0: open_read_only(path, 0.1)  # noqa: E731
    monkeypatch.setattr(database_read, "open_read_only", quick)
    with contextlib.closing(sqlite3.connect(copied, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        found = jobs.check_jobs(release_spec)
    assert found == "the jobs were not checked: the database is locked"


def test_a_damaged_database_is_a_failure(release_spec, copied):
    copied.write_text("no database at all " * 500)
    with pytest.raises(HostFailure, match="the database is damaged"):
        jobs.check_jobs(release_spec)
