"""Starting and stopping the service: the calls on the host, and refusals."""

from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import ANY

import pytest

from opstasks.core.errors import (
    Interrupted,
    InvalidResponse,
    ProgramFailed,
    Refused,
    VerifyFailed,
)
from opstasks.deploy.fit import FIT, FitFacts, FitRequest
from opstasks.deploy.release import RELEASES, Release, ReleasesAnswer, ReleasesRequest
from opstasks.fleet import lock
from opstasks.jobs.read import READ, JobsAnswer, JobSelection, JobsRequest
from opstasks.onhost import unit_state
from opstasks.primitives import journal, systemd
from opstasks.service import act as service
from opstasks.service.act import RunningJobs
from tests.fake_host import Reply, failed, refused

UP = "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=5\nNRestarts=0\n"
DOWN = "LoadState=loaded\nActiveState=inactive\nSubState=dead\nMainPID=0\nNRestarts=0\n"
TWO_JOBS = JobsAnswer(0.0, {}, {"running": 2}, ())
FITTING, TOO_NEW = FitFacts(3, 3), FitFacts(1, 3)
LOCKED = refused("database is locked")
ENDED = Release(id="1", from_name="v1", to_name="v2", who="a@b", outcome="deployed")
UNFINISHED = replace(ENDED, id="2", outcome="")


@pytest.fixture
def tpp(fake_host, monkeypatch):
    """A host that does not really wait: each wait only advances its clock."""
    host, now = fake_host(), [0.0]

    def pause(seconds):
        now[0] += seconds

    monkeypatch.setattr(host, "pause", pause)
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("opstasks.fleet.host.time", clock)
    return host


def expect_inspection(tpp, unit, counted=TWO_JOBS):
    tpp.expect(systemd.show("jobrunner"), unit, user="opensafely")
    tpp.expect(READ, JobsRequest(tpp.spec.database, JobSelection(), 0), counted, user="opensafely")


def expect_releases(tpp, *releases, versions=FITTING):
    """Expect what decides whether code and database can start."""
    request = ReleasesRequest("/home/opensafely/opstasks")
    tpp.expect(RELEASES, request, ReleasesAnswer(releases), user="opensafely")
    asked = FitRequest(tpp.spec.code_dir, tpp.spec.database)
    tpp.expect(FIT, asked, versions, user="opensafely")


def expect_control(tpp, *verbs, after=UP):
    """Expect the program that stops and starts the unit, and this state afterwards."""
    request = systemd.ControlRequest("jobrunner", verbs)
    answer = after if isinstance(after, Reply) else systemd.ControlAnswer(unit_state.parse(after))
    tpp.expect(systemd.CONTROL, request, answer, user="opensafely")


def expect_start(tpp, *watched, verbs=("start",)):
    """Expect the start, and these states while it is watched."""
    expect_control(tpp, *verbs)
    for state in watched:
        tpp.expect(systemd.show("jobrunner"), state, user="opensafely")


# -- inspecting ------------------------------------------------------------------------------


def test_an_inspection_reports_the_state_and_the_running_jobs(tpp):
    expect_inspection(tpp, UP)
    found = service.inspect(tpp)
    assert found.unit.is_serving
    assert (found.jobs, found.service_for_s) == (RunningJobs(2), None)


@pytest.mark.parametrize(
    ("counted", "reason"),
    [
        (LOCKED, "database is locked"),
        (refused("there is no database"), "there is no database"),
        (
            Reply(127, "", "python3: not found"),
            "jobs.read ended with exit code 127, without an answer: python3: not found",
        ),
    ],
)
def test_running_jobs_are_unknown_when_the_database_cannot_be_read(tpp, counted, reason):
    expect_inspection(tpp, UP, counted)
    found = service.inspect(tpp).jobs
    assert (found.count, found.error) == (None, reason)


def test_a_host_without_the_unit_is_a_failure(tpp):
    expect_inspection(tpp, DOWN.replace("LoadState=loaded", "LoadState=not-found"))
    with pytest.raises(VerifyFailed, match="the host has no unit jobrunner") as caught:
        service.inspect(tpp)
    assert caught.value.hint == "inv -H tpp manage"


@pytest.mark.parametrize("shown", ["", "hello", UP.replace("MainPID=5", "MainPID=x")])
@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_a_service_in_an_unknown_state_is_not_touched(tpp, verb, shown):
    expect_inspection(tpp, shown)
    watch = () if verb == "stop" else (1,)
    with pytest.raises(
        InvalidResponse, match="systemd does not report the state of jobrunner"
    ) as caught:
        getattr(service, verb)(tpp, *watch)
    assert caught.value.host == "tpp"


# -- changing --------------------------------------------------------------------------------


def test_a_start_that_fails_says_where_the_reason_is(tpp):
    """The unit that copies the env files may have refused them."""
    expect_inspection(tpp, DOWN)
    tpp.expect_lock("service.start")
    expect_releases(tpp)
    words = "A dependency job failed."
    expect_control(tpp, "start", after=failed("cannot start jobrunner", words))
    tpp.expect(systemd.show("jobrunner"), DOWN)
    with pytest.raises(ProgramFailed) as caught:
        service.start(tpp, 1)
    words = "run --user root -- journalctl -n 5 -u jobrunner-network"
    assert caught.value.hint == f"inv -H tpp {words}"


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_no_service_starts_while_a_release_is_unfinished(tpp, verb):
    expect_inspection(tpp, DOWN)
    tpp.expect_lock(f"service.{verb}")
    expect_releases(tpp, ENDED, UNFINISHED)
    with pytest.raises(Refused, match=r"v1 to v2.* is unfinished") as caught:
        getattr(service, verb)(tpp, 1)
    assert caught.value.hint.startswith("inv -H tpp deploy")


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_service_that_would_run_as_another_account_is_not_started(tpp, verb):
    expect_inspection(tpp, f"{DOWN}User=\nDropInPaths=/run/a.conf /etc/b.conf\n")
    with pytest.raises(Refused, match=r"root, not as opensafely: /run/a\.conf") as caught:
        getattr(service, verb)(tpp, 3)
    # `manage` removes no drop-in.
    assert "systemctl cat" in caught.value.hint
    assert "manage" not in caught.value.hint


@pytest.mark.parametrize("judge", ["inspect_start", "inspect_restart"])
def test_a_command_that_would_run_as_root_is_found_before_the_question(tpp, judge):
    command = "{ path=/bin/x ; argv[]=/bin/x ; flags=privileged ; start_time=[n/a] ; pid=0 }"
    expect_inspection(tpp, f"{DOWN}User=opensafely\nExecStartPreEx={command}\n")
    with pytest.raises(Refused, match="would run ExecStartPre as root") as caught:
        getattr(service, judge)(tpp)
    assert caught.value.hint.startswith("systemctl cat jobrunner")


def test_an_account_that_systemd_does_not_tell_is_not_judged(tpp):
    service.refuse_other_account(tpp, systemd.parse_show("jobrunner", DOWN))
    service.refuse_other_account(tpp, systemd.parse_show("jobrunner", f"{DOWN}User=opensafely\n"))


def test_start_fails_if_releases_cannot_be_read(tpp):
    expect_inspection(tpp, DOWN)
    tpp.expect_lock("service.start")
    request = ReleasesRequest("/home/opensafely/opstasks")
    tpp.expect(RELEASES, request, Reply(0, "nonsense"))
    tpp.expect(FIT, ANY, FITTING)
    with pytest.raises(InvalidResponse):
        service.start(tpp, 1)


def test_a_started_service_is_watched_for_the_whole_time(tpp):
    expect_inspection(tpp, DOWN)
    tpp.expect_lock("service.start")
    expect_releases(tpp, ENDED)
    expect_start(tpp, UP, UP, UP)  # at once, after a second and after two
    result = service.start(tpp, 2)
    assert (result.changed, result.before, result.after) == (True, "stopped", "up")
    assert result.now.told() == {"service": "up"}


def test_a_restart_by_a_person_is_named_and_watched_for_the_whole_time(tpp):
    again = UP.replace("MainPID=5", "MainPID=6")
    expect_inspection(tpp, DOWN)
    tpp.expect_lock("service.start")
    expect_releases(tpp, ENDED)
    expect_start(
        tpp, UP, f"{again}ActiveEnterTimestamp=Thu 2026-11-26 02:14:07 UTC\n", again, again
    )
    result = service.start(tpp, 1)
    assert result.notes == ("somebody restarted jobrunner at 02:14:07 UTC (systemctl, by root)",)


def test_a_stop_by_a_person_is_not_blamed_on_the_service(tpp):
    up = f"{UP}ActiveEnterTimestampMonotonic=10\n"
    stopped = (
        f"{DOWN}ActiveEnterTimestampMonotonic=10\nActiveExitTimestampMonotonic=20\n"
        "ExecMainExitTimestampMonotonic=21\nActiveExitTimestamp=Thu 2026-11-26 02:14:07 UTC\n"
    )
    expect_inspection(tpp, DOWN)
    tpp.expect_lock("service.start")
    expect_releases(tpp, ENDED)
    expect_control(tpp, "start", after=up)
    tpp.expect(systemd.show("jobrunner"), stopped.replace("inactive", "deactivating"))
    tpp.expect(systemd.show("jobrunner"), stopped)
    tpp.expect(journal.unit_lines("jobrunner", lines=10), "last words\n")
    with pytest.raises(VerifyFailed, match="somebody stopped jobrunner at 02:14:07 UTC") as caught:
        service.start(tpp, 60)
    assert caught.value.now.service == "stopped"


@pytest.mark.parametrize(("verb", "unit"), [("start", DOWN), ("restart", UP), ("restart", DOWN)])
def test_a_service_that_cannot_start_with_its_database_is_not_touched(tpp, verb, unit):
    expect_inspection(tpp, unit)
    tpp.expect_lock(f"service.{verb}")
    expect_releases(tpp, ENDED, versions=TOO_NEW)
    with pytest.raises(Refused, match=r"code needs database version 1, .* at version 3") as caught:
        getattr(service, verb)(tpp, 1)
    assert caught.value.hint == "inv -H tpp deploy"


@pytest.mark.parametrize(
    ("releases", "versions", "words"),
    [
        ([ENDED], TOO_NEW, "code needs database version 1"),
        ([ENDED, UNFINISHED], FITTING, "is unfinished"),
    ],
)
@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_plan_is_refused_where_the_change_would_be(tpp, verb, releases, versions, words):
    """Before a person is asked, and also with --dry: without the lock."""
    expect_inspection(tpp, DOWN)
    tpp.expect(lock.holder(tpp.spec), Reply(0, "", ""))
    expect_releases(tpp, *releases, versions=versions)
    with pytest.raises(Refused, match=words):
        getattr(service, f"inspect_{verb}")(tpp)


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_plan_beside_the_lock_of_another_run_is_refused_only_for_the_lock(tpp, verb):
    """A deploy that is under way has moved the code, and not the database yet."""
    expect_inspection(tpp, DOWN)
    tpp.expect(lock.holder(tpp.spec), Reply(0, "held\n", ""))
    expect_releases(tpp, ENDED, UNFINISHED, versions=TOO_NEW)
    assert getattr(service, f"inspect_{verb}")(tpp).unit.is_down


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_plan_is_refused_for_a_unit_that_systemd_would_not_start(tpp, verb):
    expect_inspection(tpp, DOWN.replace("loaded", "masked"))
    with pytest.raises(Refused, match="masked"):
        getattr(service, f"inspect_{verb}")(tpp)


def test_a_plan_needs_no_more_for_a_service_that_is_up(tpp):
    expect_inspection(tpp, UP)
    assert service.inspect_start(tpp).unit.is_serving


@pytest.mark.parametrize("versions", [FitFacts(None, 3), FitFacts(1, None), Reply(127, "", "")])
def test_unknown_versions_are_no_reason_to_refuse(tpp, versions):
    expect_inspection(tpp, DOWN)
    tpp.expect(lock.holder(tpp.spec), Reply(0, "", ""))
    expect_releases(tpp, ENDED, versions=versions)
    assert service.inspect_restart(tpp).unit.is_down


@pytest.mark.parametrize("verb", ["start", "restart"])
@pytest.mark.parametrize("load", ["masked", "bad-setting", "error"])
def test_a_unit_that_systemd_would_not_start_is_not_stopped(tpp, verb, load):
    state = UP if verb == "restart" else DOWN
    expect_inspection(tpp, state.replace("loaded", load))
    with pytest.raises(Refused, match=r"masked|cannot read the file") as caught:
        getattr(service, verb)(tpp, 1)
    assert "systemctl" in caught.value.hint


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        (
            "cannot start jobrunner",
            "inv -H tpp run --user root -- journalctl -n 5 -u jobrunner-network",
        ),
        ("it was started too often (start-limit-hit)", "inv -H tpp manage"),
    ],
)
def test_a_service_that_cannot_be_started_says_where_it_is_now(tpp, reason, hint):
    expect_inspection(tpp, UP)
    tpp.expect_lock("service.restart")
    expect_releases(tpp)
    expect_control(tpp, "stop", "start", after=failed(reason, "systemd's own words"))
    tpp.expect(systemd.show("jobrunner"), DOWN)
    with pytest.raises(ProgramFailed) as caught:
        service.restart(tpp, 1)
    error = caught.value
    assert (error.hint, error.tail) == (hint, "systemd's own words")
    assert error.now.service == "stopped"


def test_a_unit_that_was_masked_meanwhile_is_not_stopped(tpp):
    expect_inspection(tpp, UP)
    tpp.expect_lock("service.restart")
    expect_releases(tpp)
    no = refused(unit_state.start_problem("jobrunner", "masked"))
    expect_control(tpp, "stop", "start", after=no)
    with pytest.raises(Refused, match="is masked") as caught:
        service.restart(tpp, 1)
    assert "unmask" in caught.value.hint


@pytest.mark.parametrize(
    "states",
    [(DOWN,), (UP, DOWN), (UP, UP.replace("MainPID=5\nNRestarts=0", "MainPID=6\nNRestarts=1"))],
    ids=["at once", "later", "after a crash"],
)
def test_a_service_that_does_not_stay_up_is_a_failure(tpp, states):
    expect_inspection(tpp, DOWN)
    tpp.expect_lock("service.start")
    expect_releases(tpp, ENDED)
    expect_start(tpp, *states)
    tpp.expect(journal.unit_lines("jobrunner", lines=10), "last words\n")
    with pytest.raises(VerifyFailed, match="did not stay up") as caught:
        service.start(tpp, 60)
    assert caught.value.tail == "last words"


def test_ctrl_c_ends_the_watch_and_says_that_the_service_was_started(tpp):
    expect_inspection(tpp, DOWN)
    tpp.expect_lock("service.start")
    expect_releases(tpp)
    expect_start(tpp, UP)
    tpp.stop.set()
    words = "jobrunner was started, but the watch did not finish"
    with pytest.raises(Interrupted, match=words) as caught:
        service.start(tpp, 60)
    assert caught.value.now.service == "up"


def test_a_service_that_is_up_is_not_started_again(tpp):
    expect_inspection(tpp, UP)
    result = service.start(tpp, 1)
    assert (result.changed, result.after) == (False, "up")


def test_a_stop_is_checked_and_reports_the_running_jobs(tpp):
    expect_inspection(tpp, UP)
    tpp.expect_lock("service.stop")
    expect_control(tpp, "stop", after=DOWN)
    expect_inspection(tpp, DOWN)
    result = service.stop(tpp)
    assert result.now.told() == {"service": "stopped"}
    assert (result.before, result.after) == ("up", "stopped")
    assert result.jobs.count == 2


def test_a_service_that_does_not_stop_is_a_failure(tpp):
    expect_inspection(tpp, UP)
    tpp.expect_lock("service.stop")
    expect_control(tpp, "stop")
    expect_inspection(tpp, UP)
    with pytest.raises(VerifyFailed, match="jobrunner is still running after the stop") as caught:
        service.stop(tpp)
    assert caught.value.now.service == "up"


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_the_result_says_unknown_when_the_database_cannot_be_read(tpp, verb):
    expect_inspection(tpp, UP, LOCKED)
    tpp.expect_lock(f"service.{verb}")
    if verb == "restart":
        expect_releases(tpp)
    if verb == "restart":
        expect_start(tpp, UP, UP, verbs=("stop", "start"))
        result = service.restart(tpp, 1)
    else:
        expect_control(tpp, "stop", after=DOWN)
        expect_inspection(tpp, DOWN, LOCKED)
        result = service.stop(tpp)
    assert result.jobs == RunningJobs(None, "database is locked")
