"""Lines at the bottom of a terminal that are replaced in place, while others are printed above."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from opstasks.output import fit
from opstasks.output.paragraphs import clipped

__all__ = ["Region", "clipped"]

UP_AND_CLEAR = "\x1b[{}F\x1b[J"
CLEAR = "\r\x1b[J"
_COLOUR = re.compile(r"\x1b\[\d+m")


class Region:
    """The lines that are on a terminal now, if any. Not thread-safe: the console holds a lock.

    `columns` tells how wide the window is now.
    """

    def __init__(self, stream: Any, columns: Callable[[], int] = lambda: 0) -> None:
        self._stream, self._columns = stream, columns
        self._lines: Sequence[str] = ()

    def show(self, lines: Sequence[str]) -> None:
        """Replace the lines; each must fit into the window. The cursor stays at the end."""
        if lines == self._lines:
            return
        self._stream.write(self._erasure() + "\n".join(lines))
        self._stream.flush()
        self._lines = list(lines)

    def erase(self) -> None:
        """Remove the lines."""
        if self._lines:
            self._stream.write(self._erasure())
            self._stream.flush()
            self._lines = ()

    def _erasure(self) -> str:
        if not self._lines:
            return ""
        columns = self._columns()
        rows = sum(_rows(line, columns) for line in self._lines)
        return UP_AND_CLEAR.format(rows - 1) if rows > 1 else CLEAR


def _rows(line: str, columns: int) -> int:
    """The rows that a line takes: terminals divide it when the window becomes narrower."""
    length = len(fit.filled(_COLOUR.sub("", line)))
    return max(1, -(-length // columns)) if columns else 1
