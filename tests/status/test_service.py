"""The service: its state, why it died, and what that needs."""

from dataclasses import replace

import pytest

from opstasks.status import service
from opstasks.status.crashes import ServiceRun
from opstasks.status.model import Concern
from tests.status.status_help import (
    HOUR,
    NOW,
    REASON,
    RUNS,
    dying,
    judged,
    maintenance,
    pause,
    release,
    stopped,
    unit,
)

KILLED = {"Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "9"}
FAILED = {"ActiveState": "failed", "SubState": "failed", "MainPID": "0"}
ENDED = {
    "ActiveExitTimestampMonotonic": "2001",
    "ExecMainExitTimestampMonotonic": "2000",
    "ExecMainCode": "1",
    "ExecMainStatus": "0",
}
STATES = {
    "up": unit(),
    "crash loop": dying(),
    "crashed": dying(restarts=0),
    "starting": unit(5, ActiveState="activating", SubState="start-pre"),
    "stopping": unit(5, ActiveState="deactivating", SubState="stop-sigterm"),
    "stopped": stopped(HOUR),
    "failed": unit(HOUR, **FAILED, **KILLED),
    "absent": unit(LoadState="not-found", ActiveState="inactive", SubState="dead"),
    "unknown": unit(ActiveState="?"),
}


@pytest.mark.parametrize(("word", "found"), STATES.items())
def test_each_state_of_the_service_has_a_word(word, found):
    assert judged(unit=found).service.state == word


def test_a_service_between_two_deaths_is_in_a_crash_loop_though_it_runs():
    runs = (*RUNS, ServiceRun("alive", NOW, ""))
    assert judged(unit=unit(5, NRestarts="3"), runs=runs).service.state == "crash loop"
    assert judged(unit=unit(700, NRestarts="3"), runs=runs).service.state == "up"


def test_old_deaths_and_a_new_one_are_no_loop():
    old = tuple(replace(run, last_at=NOW - 30 * HOUR) for run in RUNS)
    runs = (*old, ServiceRun("new", NOW - 60, REASON))
    found = judged(unit=dying(restarts=3), runs=runs)
    assert found.service.state == "crashed"
    assert found.concerns[0].text == f"died 1m ago: {REASON}; systemd starts it again"


def test_a_crash_loop_is_named_with_its_count_its_time_and_its_reason():
    (concern, *_) = judged(unit=dying(), runs=RUNS).concerns
    text = f"died 3 times in 4m: {REASON}"
    assert concern == Concern("down", text, "inv -H tpp logs")


def test_without_a_log_the_reason_is_how_the_process_ended():
    (concern, *_) = judged(unit=dying()).concerns
    assert concern.text == "died 3 times: its process ended with exit code 1"


def test_only_a_new_deploy_is_offered_for_undoing():
    def undo(*releases):
        return judged(unit=dying(), runs=RUNS, releases=releases).concerns[0].undo

    assert undo(release()) == "inv -H tpp deploy.rollback"
    assert undo(release(30 * HOUR)) == ""
    assert undo(release(kind="rollback")) == ""
    assert undo(release(outcome="rolled back")) == ""


def test_one_death_that_was_repaired_is_shown_for_a_day():
    runs = (ServiceRun("r", NOW - 420, REASON), ServiceRun("alive", NOW, ""))
    found = judged(unit=unit(300, NRestarts="1"), runs=runs)
    (concern,) = found.concerns
    assert (concern.kind, concern.text) == ("warning", f"died 7m ago: {REASON}; up again for 5m")
    assert judged(unit=unit(25 * HOUR, NRestarts="1"), runs=runs).concerns == ()


@pytest.mark.parametrize(
    ("found", "kind", "words"),
    [
        (stopped(HOUR), "note", "stopped 1h ago"),
        (stopped(25 * HOUR), "forgotten", "stopped 1d1h ago: forgotten?"),
        (stopped(HOUR, Result="exit-code", NRestarts="4"), "note", "stopped 1h ago"),
        (stopped(60, **ENDED), "down", "ended by itself 1m ago: its process ended with exit code"),
        (stopped(60, LoadState="masked"), "down", "is masked"),
        (stopped(60, StateChangeTimestamp=""), "down", "was not started since the boot"),
        (unit(60, **FAILED, **KILLED), "failed", "its process was killed with SIGKILL"),
        (unit(300, ActiveState="activating", SubState="start"), "down", "starting for 5m"),
        (STATES["starting"], "note", "starting for 5s"),
        (STATES["absent"], "down", "there is no service jobrunner"),
        (STATES["unknown"], "failed", "does not say the state"),
        (unit(UnitFileState="disabled"), "warning", "a reboot would not start it"),
    ],
)
def test_each_state_is_intended_or_wrong(found, kind, words):
    (concern,) = judged(unit=found).concerns
    assert (concern.kind, words in concern.text) == (kind, True), concern


def test_the_moment_in_which_systemd_calls_a_dying_service_inactive_is_no_stop():
    between = {"Result": "exit-code", "NRestarts": "3"}
    assert judged(unit=stopped(1, **between)).service.state == "crash loop"
    assert judged(unit=stopped(60, **between)).service.state == "stopped"


def test_a_deliberate_stop_is_not_called_a_crash():
    (concern,) = judged(unit=stopped(HOUR, NRestarts="4"), runs=RUNS).concerns
    assert concern == Concern(
        "note", "stopped 1h ago", "inv -H tpp history", "inv -H tpp service.start"
    )


def test_a_stop_for_a_reboot_is_one_thing_and_forgotten_after_a_day():
    from tests.maintenance.client_help import make_item

    def concern(age_s):
        item = make_item(
            outcome="ready",
            step="done",
            boot_id="boot",
            finished_at=NOW - age_s,
            who="ops@laptop",
            due_at=NOW - age_s,
        )
        ours = pause(age_s, who="ops@laptop", task="prepare-reboot")
        found = judged(unit=stopped(age_s), maintenance=maintenance(item, pause=ours))
        return next(one for one in found.concerns if "reboot" in one.text)

    assert concern(HOUR).kind == "note"
    assert concern(HOUR).text == (
        "prepared for a reboot by ops@laptop 1h ago, which has not happened"
    )
    assert concern(25 * HOUR).kind == "forgotten"


def test_a_stop_is_told_from_an_end_by_itself():
    assert service.was_stopped(stopped(60))
    assert not service.was_stopped(stopped(60, **ENDED))
