"""The screen of `doctor`: findings first, the count of what is ok last, commands whole."""

from datetime import UTC, datetime

import pytest

from opstasks.core.clock import Clock
from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.doctor.checks import DoctorReport, conclude
from opstasks.doctor.finding import DoctorFinding
from opstasks.doctor.screen import doctor_screen
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown

CLOCK = Clock(datetime(2026, 11, 24, 2, 13, tzinfo=UTC).timestamp())
DISK = DoctorFinding("disk /tmp", False, "93% full", "free disk space: du -xsh /tmp/*")
CONFIG = DoctorFinding(
    "/home/opensafely/config/load-env",
    False,
    "opensafely may not read it, because it belongs to an account that was removed last week",
    "inv -H sandbox-1 manage",
)
PYTHON = DoctorFinding("python", True, "3.11")
CLOCK_OK = DoctorFinding("clock", True, "+0 s from our clock")


def result(**reports):
    items = [
        HostResult(host.replace("_", "-"), "ok", DoctorReport(checks))
        for host, checks in reports.items()
    ]
    return FleetResult(items)


FOUND = result(sandbox_1=(PYTHON, CONFIG, DISK), sandbox_2=(PYTHON, CLOCK_OK))


@pytest.mark.parametrize("width", [60, 80])
def test_findings_are_as_in_the_golden_file(width):
    check_golden(
        __file__, f"doctor-{width}", doctor_screen(lambda: CLOCK, width).lines(FOUND, width)
    )


def test_all_checks_are_as_in_the_golden_file():
    lines = doctor_screen(lambda: CLOCK, 80, every=True).lines(FOUND, 80)
    check_golden(__file__, "doctor-all-80", lines)


def test_without_a_finding_the_first_line_says_so():
    found = result(a=(PYTHON, CLOCK_OK))
    lines = shown(doctor_screen(lambda: CLOCK, 80).lines(found, 80))
    assert lines[0] == "02:13 UTC, no findings on 1 host"
    assert lines[-1].startswith("2 checks ok")


@pytest.mark.parametrize("width", WIDTHS)
def test_odd_and_long_findings_fit_and_their_commands_stay_whole(width):
    hint = f"inv -H {'h' * 40} manage --only access"
    odd = DoctorFinding("unit e\u0301\u202e日本語" * 9, False, "x\x1b[31m\ny " * 30, hint)
    lines = doctor_screen(lambda: CLOCK, width, every=True).lines(
        result(**{"h" * 40: (odd, PYTHON)}), width
    )
    check_fits(lines, width)
    check_whole(lines, [hint, "h" * 40])
    assert not any("\x1b" in line or "\u202e" in line for line in shown(lines))


def test_in_a_pipe_each_finding_is_one_line_with_its_hint():
    lines = shown(doctor_screen(lambda: CLOCK, 0).note_lines(FOUND))
    assert len(lines) == 2
    assert lines[1] == ("sandbox-1  disk /tmp: 93% full  next: free disk space: du -xsh /tmp/*")


SILENT = HostResult("tpp", "unreachable", error=Unreachable("no", host="tpp"))


def test_a_host_without_an_answer_is_not_counted_as_checked():
    found = FleetResult([*result(a=(PYTHON,)).results, SILENT])
    lines = shown(doctor_screen(lambda: CLOCK, 80).lines(found, 80))
    assert lines[0] == "02:13 UTC, no findings on 1 of 2 hosts"


def test_findings_end_with_1_and_are_not_repeated_as_an_error():
    found = conclude(FleetResult([*FOUND.results, SILENT]))
    assert found.exit_code == 1
    assert [item.outcome for item in found] == ["failed", "ok", "unreachable"]
    assert found.results[0].error.is_shown
