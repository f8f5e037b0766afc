"""Tables whose rows are printed while hosts are still answering, for a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opstasks.output.console import Console
from opstasks.output.table import Column, Layout, draw, hidden_lines


class GrowingTable:
    """A table that is printed in parts: the header once, every row as soon as it is known.

    Columns become wider for later rows; narrower only if there is no room.
    """

    def __init__(self, console: Console, columns: Sequence[Column]) -> None:
        self._console, self._columns = console, columns
        self._layout: Layout | None = None
        self._hidden: dict[str, None] = {}

    def add(self, rows: Iterable[Sequence[object]]) -> None:
        """Print rows; below the header, if these are the first ones or the columns are new."""
        window, wide = self._console.window, self._console.wide
        table = draw(self._columns, rows, window, wide=wide, before=self._layout)
        self._layout = table.layout
        self._hidden.update(dict.fromkeys(table.hidden))
        self._console.say_lines(table.lines)

    def end(self) -> None:
        """Name the columns that were left out."""
        self._console.say_lines(hidden_lines(tuple(self._hidden), self._console.window))
