"""The screen of a task that reads many hosts: what it shows of their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from opstasks.core.formats import plural
from opstasks.core.result import FleetResult, HostResult
from opstasks.output.console import Console
from opstasks.output.paragraphs import folded
from opstasks.output.parts import Line, Part, bad
from opstasks.output.states import silent_text
from opstasks.output.table import TOLD_ELSEWHERE, Column, draw

T = TypeVar("T")
Rows = Iterable[Sequence[object]]


def _none(*_: Any) -> Any:
    return ()


def no_answer(item: HostResult[Any]) -> Sequence[object]:
    """The row of a host that did not answer, where each host has one row."""
    return [item.host, bad(silent_text(item.outcome))]


def for_hosts(columns: Sequence[Column], hosts: int) -> tuple[Column, ...]:
    """The columns of a table of so many hosts; the first one is that of the host.

    The name of one host is in the headline.
    """
    first, *others = columns
    return (replace(first, rank=TOLD_ELSEWHERE if hosts == 1 else 0), *others)


def where(result: FleetResult[Any]) -> str:
    """The host that answered, or how many did: ``tpp``, ``3 hosts``."""
    found = list(result.values)
    return found[0] if len(found) == 1 else plural(len(found), "host")


@dataclass(frozen=True)
class Screen(Generic[T]):
    """How answers become lines: a headline, a table, and notes below it.

    `rows` gets a host and its answer; `failed` makes the row of a host without one (None: it has
    no row, its error follows the table). `headline` is the first line, which answers the question.
    `tables` are further tables. `notes` are lines about one host; `closing` those about all of
    them. `nothing` says what was looked for when no host has a row. `ids` are what `-q` prints.

    A pipe gets tables only. There the headline is left out, and other lines go to standard error;
    without columns, the notes are the result.
    """

    columns: Sequence[Column]
    rows: Callable[[str, T], Rows]
    failed: Callable[[HostResult[T]], Sequence[object]] | None = None
    headline: Callable[[FleetResult[T]], Line] = _none
    tables: Callable[[FleetResult[T]], Iterable[tuple[Sequence[Column], Rows]]] = _none
    notes: Callable[[str, T], Iterable[Line]] = _none
    closing: Callable[[FleetResult[T]], Iterable[Line]] = _none
    nothing: Callable[[FleetResult[T]], str] = field(default=lambda result: "")
    ids: Callable[[T], Iterable[str]] | None = None

    def table_rows(self, batch: FleetResult[T]) -> list[Sequence[object]]:
        """The rows of the hosts of a batch, in its order."""
        found: list[Sequence[object]] = []
        for item in batch:
            if item.good and item.value is not None:
                found += self.rows(item.host, item.value)
            elif self.failed is not None:
                row = list(self.failed(item))
                found.append(row + [""] * (len(self.columns) - len(row)))
        return found

    def note_lines(self, batch: FleetResult[T]) -> list[Line]:
        """The notes of the hosts of a batch."""
        return [line for host, value in batch.values.items() for line in self.notes(host, value)]

    def lines(self, result: FleetResult[T], width: int, *, wide: bool = False) -> list[Line]:
        """The whole screen for a window of a width."""
        rows = self.table_rows(result)
        above: list[Line] = [line for line in [self.headline(result)] if line]
        if not rows:
            above += self.nothing_lines(result)
        found = folded(above, width)
        found += draw(self.columns, rows, width, wide=wide).with_hint()
        found += self.table_lines(result, width, wide=wide, is_first=not rows)
        below = folded([*self.note_lines(result), *self.closing(result)], width)
        return [*found, *([[""]] if below and rows else []), *below]

    def table_lines(
        self, result: FleetResult[T], width: int, *, wide: bool = False, is_first: bool = False
    ) -> list[Line]:
        """The further tables, an empty line before each; but before none that `is_first`."""
        found: list[Line] = []
        for columns, rows in self.tables(result):
            if lines := draw(columns, rows, width, wide=wide).with_hint():
                found += [*([] if is_first else [[""]]), *lines]
                is_first = False
        return found

    def show(self, console: Console, result: FleetResult[T]) -> None:
        """Print the whole screen; in a pipe, the tables."""
        if console.window:
            console.say_lines(self.lines(result, console.window, wide=console.wide))
            return
        rows = self.table_rows(result)
        console.say_lines(draw(self.columns, rows, 0, wide=console.wide).lines)
        self.show_notes(console, result)
        self.show_end(console, result, has_rows=bool(rows))

    def show_notes(self, console: Console, batch: FleetResult[T]) -> None:
        """Print the notes of hosts."""
        say = console.beside if self.columns else console.say_lines
        say(self.note_lines(batch))

    def show_end(self, console: Console, result: FleetResult[T], *, has_rows: bool) -> None:
        """Print what comes after the rows and the notes of all hosts."""
        say = console.beside if self.columns else console.say_lines
        if not has_rows:
            say(self.nothing_lines(result))
        tables = self.table_lines(result, console.window, wide=console.wide, is_first=not has_rows)
        console.say_lines(tables)
        say(self.closing(result))

    def nothing_lines(self, result: FleetResult[T]) -> list[Line]:
        """What was looked for, if a host answered and none has a row."""
        text: Part = self.nothing(result) if result.values else ""
        return [[text]] if text else []
