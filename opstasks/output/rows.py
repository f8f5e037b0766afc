"""Tables whose rows are printed while hosts are still answering."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from opstasks.core.result import FleetResult, HostResult
from opstasks.output.console import Console, Row, table_text


class GrowingTable:
    """A table that is printed in parts: the headers once, every row as soon as it is known.

    Columns fit the first rows within the window; later they may become wider, never narrower.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._headers: list[str] = []
        self._widths: list[int] = []

    def add(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows; below the headers, if these are the first rows or the headers are new."""
        body = [list(row) for row in rows]
        if not body:
            return
        has_begun = self._headers == list(headers)
        if has_begun:
            # Keeps the columns as wide as they are; it is not printed.
            body.insert(0, ["x" * width for width in self._widths])
        lines = table_text(headers, body, self._widths if has_begun else ()).split("\n")
        rule = next(at for at, line in enumerate(lines) if line and not line.strip("- "))
        self._headers = list(headers)
        self._widths = [len(dashes) for dashes in lines[rule].split()]
        self._console.say_table("\n".join(lines[rule + 2 :] if has_begun else lines))


class Overview:
    """One row for each host, also for hosts that did not answer, if any host did."""

    def __init__(self, console: Console, row: Callable[[Any], Row]) -> None:
        self._table = GrowingTable(console)
        self._row = row
        self._headers: list[str] = []
        self._early: list[HostResult[Any]] = []

    def show(self, batch: FleetResult[Any]) -> None:
        """Print the rows of some hosts."""
        shown = {r.host: self._row(r.value) for r in batch if r.good and r.value is not None}
        self._early += [item for item in batch if not item.good]
        keys = [key for cells in shown.values() for key in cells]
        self._headers = list(dict.fromkeys([*self._headers, *keys]))
        if not self._headers:
            return
        body: list[list[object]] = [
            [host, *(cells.get(key, "") for key in self._headers)] for host, cells in shown.items()
        ]
        blank = [""] * (len(self._headers) - 1)
        body += [[item.host, item.outcome, *blank] for item in self._early]
        self._early = []
        self._table.add(["host", *self._headers], body)
