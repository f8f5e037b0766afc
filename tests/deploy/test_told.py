"""What is said after a deploy: the state that was read, or why it went back."""

from dataclasses import replace

import pytest

from opstasks.core.errors import ProgramFailed, Refused
from opstasks.core.result import FleetResult, HostResult
from opstasks.core.state import HostState
from opstasks.deploy import told
from opstasks.deploy.apply import DeployResult, StepAnswer, WentBack
from opstasks.output.parts import text_of_line
from tests.deploy.test_apply import SPEC
from tests.screen_check import WIDTHS, check_fits, check_screen

NOW = HostState(service="up", code="b" * 40)
DONE = DeployResult(True, "v2.71.0", "v2.73.0", 3, "1", (), NOW, 1)
TRACE = (
    "Traceback (most recent call last):\n"
    '  File "/home/opensafely/jobrunner/code/jobrunner/run.py", line 7, in main\n'
    "    check(queue)\n"
    "RuntimeError: the job queue is in an impossible state\n"
    "jobrunner.service: Main process exited"
)
REASON = "jobrunner did not stay up (now activating/auto-restart): its process ended with code 1"
BACK = StepAnswer(
    0,
    "database restored from the snapshot, newer rows carried over; the failed database is"
    " /home/opensafely/opstasks/snapshots/20261127T000144-7cc29e.failed.sqlite",
    now=HostState(service="up", code="a" * 40),
    running_jobs=1,
)


def went_back(tail=TRACE, found=BACK, reason=REASON):
    spec = replace(SPEC, from_name="v2.71.0", to_name="broken-crash")
    error = WentBack(spec, ProgramFailed(reason, tail=tail), found)
    error.host, error.hint = "sandbox-1", "inv -H sandbox-1 logs --since 5m"
    return error


def lines(error, width=0):
    return [text_of_line(line) for line in told.back_lines(error, "21.3s", width)]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_deploy_that_went_back_looks_like_its_drawing(width):
    found = told.back_lines(went_back(), "21.3s", width)
    check_fits(found[1:], width - told.INDENT)
    check_screen(__file__, "back", width, found)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (DONE, "v2.73.0, service up, 1 job goes on"),
        (replace(DONE, running_jobs=2), "v2.73.0, service up, 2 jobs go on"),
        (replace(DONE, running_jobs=0), "v2.73.0, service up, no job is running"),
        (replace(DONE, running_jobs=None), "v2.73.0, service up, running jobs unknown"),
        (
            replace(DONE, now=HostState(service="stopped")),
            "v2.73.0, service stopped, 1 job goes on",
        ),
        (replace(DONE, now=HostState()), "v2.73.0, service in an unknown state, 1 job goes on"),
    ],
)
def test_the_new_state_is_what_was_read(result, text):
    assert told.host_text(result) == text


def test_the_cause_is_the_last_exception_of_the_log():
    shown = lines(went_back())
    assert shown[0] == "BACK ON v2.71.0 after 21.3s: broken-crash was not deployed"
    assert "cause  RuntimeError: the job queue is in an impossible state" in shown
    assert "now    service up, 1 job goes on, database restored" in "\n".join(shown)
    assert shown[-1] == "next   inv -H sandbox-1 logs --since 5m"


def test_without_an_exception_the_last_lines_are_shown():
    shown = lines(went_back("\n".join(f"line {n}" for n in range(9))))
    assert [line for line in shown if line.startswith("  | ")] == [
        f"  | line {n}" for n in range(4, 9)
    ]
    assert not any(line.startswith("cause") for line in shown)


def test_a_host_that_is_not_on_the_old_release_is_not_said_to_be():
    found = StepAnswer(0, "", now=HostState(code="9" * 40, service="stopped"))
    assert lines(went_back(found=found))[0].startswith("NOW AT 9999999999 after 21.3s")
    unread = lines(went_back(found=StepAnswer(0, "")))
    assert unread[0].startswith("NOW AT an unknown commit after 21.3s")
    assert "now    service in an unknown state, running jobs unknown" in unread


def test_other_errors_have_their_usual_lines():
    assert told.back_lines(Refused("no"), "1s", 80) == ()


@pytest.mark.parametrize(
    "tail",
    ["", "RuntimeError: no frame before it", "  indented\nERROR here", "  indented\n  again"],
)
def test_no_exception_is_found_where_none_is(tail):
    assert told.exception_in(tail) == ""


def test_notes_follow_with_the_name_of_their_host():
    result = FleetResult(
        [
            HostResult("a", "changed", replace(DONE, notes=("KeyError still occurs",))),
            HostResult("b", "changed", DONE),
        ]
    )
    assert [text_of_line(line) for line in told.note_lines(result)] == ["a  KeyError still occurs"]
