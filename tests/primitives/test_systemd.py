"""systemd: reading valid and invalid output of `systemctl show`."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.onhost import unit_state
from opstasks.primitives import systemd
from opstasks.primitives.systemd import UnitState

RUNNING = (
    "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=5\nNRestarts=2\n"
    "UnitFileState=enabled\nResult=success\nStateChangeTimestamp=Fri 2024-05-03 10:00:00 UTC\n"
)


def parsed(text):
    return systemd.parse_show("jobrunner", text)


def test_a_running_unit_is_read_whole():
    since = datetime(2024, 5, 3, 10, tzinfo=UTC)
    unit = parsed(RUNNING)
    assert unit == UnitState(
        "jobrunner", "loaded", "active", "running", "enabled", "success", 5, 2, since
    )
    assert (unit.is_serving, unit.is_down, unit.describe()) == (True, False, "running")


@pytest.mark.parametrize(
    ("changes", "words", "is_down"),
    [
        ("ActiveState=inactive\nSubState=dead", "inactive (dead)", True),
        ("ActiveState=failed\nSubState=failed", "failed (failed)", True),
        ("ActiveState=activating\nSubState=auto-restart", "activating (auto-restart)", False),
        ("LoadState=not-found\nActiveState=inactive\nSubState=dead", "absent", True),
    ],
)
def test_a_unit_that_does_not_serve_is_described(changes, words, is_down):
    unit = parsed(f"{RUNNING}{changes}\n")
    assert (unit.is_serving, unit.is_down, unit.describe()) == (False, is_down, words)


def test_a_unit_that_is_not_a_service_has_no_process():
    unit = parsed("LoadState=loaded\nActiveState=active\nSubState=waiting\nUnitFileState=\n")
    assert (unit.main_pid, unit.restarts, unit.since) == (0, 0, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "System has not been booted with systemd",
        RUNNING.replace("MainPID=5", "MainPID=five"),
        RUNNING.replace("MainPID=5", "MainPID=-5"),
        RUNNING.replace("NRestarts=2", f"NRestarts={'9' * 5000}"),
        RUNNING.replace("ActiveState=active", "ActiveState=<html>"),
        RUNNING.replace("SubState=running\n", ""),
        RUNNING.replace("LoadState=loaded\n", ""),
    ],
)
def test_nonsense_is_an_unknown_state_and_neither_up_nor_down(text):
    unit = parsed(text)
    assert (unit.is_unknown, unit.is_serving, unit.is_down) == (True, False, False)
    assert unit.describe() == "unknown"


@given(st.text())
def test_no_text_breaks_the_parser(text):
    assert parsed(text).name == "jobrunner"
    assert parsed(f"{RUNNING}{text}").name == "jobrunner"
    systemd.parse_timestamp(text)


@pytest.mark.parametrize("text", ["", "n/a", "Fri 2024-13-03 10:00:00 UTC", "Fri 33658-01-01 x"])
def test_an_impossible_time_is_none(text):
    assert systemd.parse_timestamp(text) is None


@pytest.mark.parametrize(
    ("name", "load", "hint"),
    [
        ("jobrunner", "masked", "sudo systemctl unmask jobrunner, if nobody needs it masked"),
        ("jobrunner", "not-found", "`manage` installs it"),
        ("jobrunner", "bad-setting", "systemctl status jobrunner"),
        (
            "jobrunner-network.service",
            "masked",
            "sudo systemctl unmask jobrunner-network.service, if nobody needs it masked",
        ),
    ],
)
def test_a_unit_that_would_not_start_has_its_hint(name, load, hint):
    assert systemd.hint_for("jobrunner", unit_state.start_problem(name, load)) == hint


@pytest.mark.parametrize("problem", ["", "run rm -rf /", "x; reboot is masked: systemd would not"])
def test_the_words_of_a_host_do_not_get_into_the_hint(problem):
    assert systemd.hint_for("jobrunner", problem) == "systemctl status jobrunner"
