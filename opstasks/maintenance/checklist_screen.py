"""What `after-reboot` shows: the checks of each host, those that fail first."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opstasks.core.clock import Clock
from opstasks.core.formats import first_names, plural
from opstasks.core.result import FleetResult
from opstasks.maintenance.checklist import Checklist, ChecklistLine
from opstasks.output.notes import headline, note
from opstasks.output.parts import Line, Part, bad, bold, good
from opstasks.output.screens import Screen
from opstasks.output.table import Column

# So many hosts are named in the first line.
NAMED = 3
COLUMNS = (
    Column("HOST"),
    Column("CHECK"),
    Column("STATE"),
    Column("FOUND", long="wrap", least=20),
)


def screen(clock: Callable[[], Clock], width: int, *, is_whole: bool = True) -> Screen[Checklist]:
    """The screen of `after-reboot`; not `is_whole`: checks that are ok share one row of a host."""
    return Screen(
        columns=COLUMNS,
        rows=lambda host, found: _rows(host, found, is_whole=is_whole),
        headline=lambda result: _headline(result, clock(), width),
        notes=lambda host, found: _notes(host, found, width),
    )


def _rows(host: str, found: Checklist, *, is_whole: bool) -> list[list[Part]]:
    """The lines that fail, then the others in the order in which things start."""
    rows = [_cells(host, line) for line in found.bad]
    others = [line for line in found.lines if line.good]
    if is_whole:
        return rows + [_cells(host, line) for line in others]
    names = ", ".join(line.what for line in others)
    return [
        *rows,
        [host, f"{len(others)} others" if rows else f"all {len(others)}", good("ok"), names],
    ]


def _headline(result: FleetResult[Checklist], clock: Clock, width: int) -> Line:
    values = result.values
    if not values:
        return []
    failing = [host for host, found in values.items() if found.bad]
    checks = sum(len(found.lines) for found in values.values())
    where = plural(len(values), "host")
    if not failing:
        return headline([good(f"all {checks} checks ok"), f" on {where}"], width, clock.now_text)
    count = sum(len(found.bad) for found in values.values())
    words = bad(f"{count} of {checks} checks {'fails' if count == 1 else 'fail'}")
    return headline([words, f" on {first_names(failing, NAMED)}"], width, clock.now_text)


def _cells(host: str, line: ChecklistLine) -> list[Part]:
    return [host, line.what, good("ok") if line.good else bad("FAIL"), line.text]


def _notes(host: str, found: Checklist, width: int) -> Iterable[Line]:
    """What to type for each line that fails, and what was changed here."""
    if found.changed:
        yield from note(bold(host), "the pause of the preparation was ended now", width)
    for line in found.bad:
        words, command = _parts(line.hint)
        text = f"{line.what}: {words}" if words else line.what
        yield from note(bold(host), text, width, *([command] if command else []))


def _parts(hint: str) -> tuple[str, str]:
    """The words of a hint, and the command after them."""
    words, colon, command = hint.rpartition(": ")
    return (words, command) if colon and command.startswith("inv ") else ("", hint)
