"""What `after-reboot` shows: the checks of each host, those that fail first."""

from __future__ import annotations

from collections.abc import Iterable

from opstasks.core.clock import Clock
from opstasks.core.result import FleetResult
from opstasks.maintenance.checklist import Checklist, ChecklistLine
from opstasks.output.notes import note
from opstasks.output.parts import Line, Part, bad, bold, dim, good
from opstasks.output.progress import plural
from opstasks.output.screens import Screen
from opstasks.output.table import Column

COLUMNS = (
    Column("HOST"),
    Column("CHECK"),
    Column("STATE"),
    Column("FOUND", long="wrap", least=20),
)


def screen(clock: Clock, width: int) -> Screen[Checklist]:
    """The screen of `after-reboot`."""
    return Screen(
        columns=COLUMNS,
        rows=lambda host, found: [_cells(host, line) for line in in_order(found)],
        headline=lambda result: _headline(result, clock),
        notes=lambda host, found: _notes(host, found, width),
    )


def in_order(found: Checklist) -> list[ChecklistLine]:
    """The lines that fail, then the others in the order in which things start."""
    return sorted(found.lines, key=lambda line: line.good)


def _headline(result: FleetResult[Checklist], clock: Clock) -> Line:
    values = result.values
    if not values:
        return []
    failing = [host for host, found in values.items() if found.bad]
    checks = sum(len(found.lines) for found in values.values())
    where = plural(len(values), "host")
    if not failing:
        return [good(f"all {checks} checks ok"), f" on {where}", dim(f"  {clock.now_text}")]
    count = sum(len(found.bad) for found in values.values())
    words = bad(f"{count} of {checks} checks {'fails' if count == 1 else 'fail'}")
    return [words, f" on {', '.join(failing)}", dim(f"  {clock.now_text}")]


def _cells(host: str, line: ChecklistLine) -> list[Part]:
    return [host, line.what, good("ok") if line.good else bad("FAIL"), line.text]


def _notes(host: str, found: Checklist, width: int) -> Iterable[Line]:
    """What to type for each line that fails, and what was changed here."""
    if found.changed:
        yield from note(bold(host), "the pause of the preparation was ended now", width)
    for line in found.bad:
        yield from note(bold(host), line.what, width, *([line.hint] if line.hint else []))
