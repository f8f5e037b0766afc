"""A screen that is drawn again and again in the same place (the terminal's alternate screen)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from opstasks.core.errors import Refused
from opstasks.core.window import size
from opstasks.output import colour
from opstasks.output.console import Console
from opstasks.output.paragraphs import clipped
from opstasks.output.parts import Line, dim

ENTER, LEAVE, HOME, END_OF_LINE, REST = (
    "\x1b[?1049h\x1b[?25l",
    "\x1b[?25h\x1b[?1049l",
    "\x1b[H",
    "\x1b[K",
    "\x1b[J",
)


SHORTEST_S, LONGEST_S = 0.2, 3600.0


def check(every_s: float, *, is_quiet: bool) -> None:
    """Raise Refused where nothing can be drawn: with --json or -q, and without a terminal.

    Also for an interval that is too short or too long.
    """
    if not SHORTEST_S <= every_s <= LONGEST_S:
        raise Refused(
            f"--every must be between {SHORTEST_S:g} and {LONGEST_S:g} seconds, not {every_s:g}",
            hint="try --every 5s",
        )
    if is_quiet:
        raise Refused("--watch never ends, but a document must", hint="run it without --watch")
    if not (colour.can_rewrite(sys.stdout) and sys.stdin.isatty()):
        raise Refused(
            "--watch needs a terminal that can replace lines", hint="run it without --watch"
        )


class Display:
    """The alternate screen, while inside; at the end the terminal is as it was."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._text = ""

    def __enter__(self) -> Display:
        sys.stdout.write(ENTER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()

    def draw(self, lines: Sequence[Line]) -> None:
        """Replace what is shown, in one piece; a slow link gets nothing that it has already."""
        columns, rows = size()
        shown = [self._console.text(line) + END_OF_LINE for line in within(lines, columns, rows)]
        text = HOME + "\r\n".join(shown) + REST
        if text != self._text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._text = text


def within(lines: Sequence[Line], columns: int, rows: int) -> list[Line]:
    """The part of the lines that fits into a window; it says how much does not."""
    found = list(lines)
    if len(found) > rows:
        left = len(found) - rows + 1
        found = [*found[: rows - 1], [dim(f"… {left} more lines (a taller window shows them)")]]
    # The last column stays free: the code that clears the rest of a line would clear it, too.
    return [clipped(line, columns - 1) for line in found]
