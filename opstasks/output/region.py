"""Lines at the bottom of a terminal that are replaced in place, while others are printed above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opstasks.output.paragraphs import clipped

__all__ = ["Region", "clipped"]
UP_AND_CLEAR = "\x1b[{}F\x1b[J"
CLEAR = "\r\x1b[J"


class Region:
    """The lines that are on a terminal now, if any. Not thread-safe: the console holds a lock."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._text = ""
        self._rows = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on the terminal."""
        return not self._rows

    def show(self, lines: Sequence[str]) -> None:
        """Replace the lines; each must fit into the window. The cursor stays at the end."""
        text = "\n".join(lines)
        if text == self._text:
            return
        self._stream.write(self._erasure() + text)
        self._stream.flush()
        self._text, self._rows = text, len(lines)

    def erase(self) -> str:
        """Remove the lines; returns the text that shows them again."""
        text = self._text
        if self._rows:
            self._stream.write(self._erasure())
            self._stream.flush()
            self._text, self._rows = "", 0
        return text

    def _erasure(self) -> str:
        if not self._rows:
            return ""
        return UP_AND_CLEAR.format(self._rows - 1) if self._rows > 1 else CLEAR
