"""`doctor` as a screen: the findings first, each with what to do; last, the checks that passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from opstasks.core.clock import Clock
from opstasks.core.formats import plural
from opstasks.core.result import FleetResult
from opstasks.doctor.checks import DoctorReport
from opstasks.doctor.finding import DoctorFinding
from opstasks.output.notes import Note, note_lines
from opstasks.output.parts import Line, bad, bold, dim, good, odd
from opstasks.output.screens import Screen
from opstasks.output.table import Column, draw

PASSED_COLUMNS = (
    Column("HOST"),
    Column("PASSED", long="wrap", least=20),
    Column("FOUND", long="wrap", least=20),
)


def doctor_screen(
    clock: Callable[[], Clock], width: int, *, every: bool = False, wide: bool = False
) -> Screen[DoctorReport]:
    """The screen for a window of a width (0: a pipe); `every`: also the checks that passed."""

    def closing(result: FleetResult[DoctorReport]) -> Iterator[Line]:
        if every:
            rows = [_passed_row(host, check) for host, check in _checks(result) if check.good]
            yield [""]
            yield from draw(PASSED_COLUMNS, rows, width, wide=wide).lines
        yield from _counts(result, every=every)

    return Screen(
        (),
        lambda host, report: [],
        headline=lambda result: headline(result, clock()),
        notes=lambda host, report: note_lines(findings(host, report), width),
        closing=closing,
    )


def headline(result: FleetResult[DoctorReport], clock: Clock) -> Line:
    """The answer: ``02:13 UTC, 3 findings on 1 of 2 hosts``."""
    reports = result.values.values()
    count = sum(len(report.bad) for report in reports)
    if not reports:
        return ()
    answered, asked = len(reports), plural(len(result.results), "host")
    among = asked if answered == len(result.results) else f"{answered} of {asked}"
    if not count:
        part = good if among == asked else odd
        return [f"{clock.now_text}, ", part(f"no findings on {among}")]
    hosts = sum(bool(report.bad) for report in reports)
    where = f" on {hosts} of {asked}" if len(result.results) > 1 else ""
    return [f"{clock.now_text}, ", bad(f"{plural(count, 'finding')}{where}")]


def findings(host: str, report: DoctorReport) -> list[Note]:
    """What is wrong with a host, and the next thing to do."""
    return [
        Note(bold(host), bad(f"{check.name}: {check.text}"), (("next", check.hint),))
        for check in report.bad
    ]


def _checks(result: FleetResult[DoctorReport]) -> Iterator[tuple[str, DoctorFinding]]:
    for host, report in result.values.items():
        yield from ((host, check) for check in report.checks)


def _passed_row(host: str, check: DoctorFinding) -> list[object]:
    return [host, good(check.name), check.text]


def _counts(result: FleetResult[DoctorReport], *, every: bool) -> Iterator[Line]:
    """The last line: how many checks are ok."""
    fine = sum(check.good for _, check in _checks(result))
    if fine:
        more = "" if every else "   (doctor --all shows them)"
        where = f" on {len(result.values)} hosts" if len(result.values) > 1 else ""
        yield [f"{plural(fine, 'check')} ok{where}", dim(more)]
