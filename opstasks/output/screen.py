"""A table that is drawn again and again in the same place, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from opstasks.core.errors import Interrupted, Refused
from opstasks.core.formats import second_text
from opstasks.fleet.terminal import size
from opstasks.output.escape import printable
from opstasks.output.fit import clipped

SHORTEST_S, LONGEST_S = 0.2, 3600.0

ENTER, LEAVE, HOME, END_OF_LINE, REST = (
    "\x1b[?1049h\x1b[?25l",
    "\x1b[?25h\x1b[?1049l",
    "\x1b[H",
    "\x1b[K",
    "\x1b[J",
)


def clip(text: str, columns: int, rows: int) -> str:
    """The part of a text that fits; says how many lines are left out."""
    lines = [printable(line) for line in text.split("\n")]
    if len(lines) > rows:
        lines = [*lines[: rows - 1], f"... {len(lines) - rows + 1} more line(s)"]
    return "\r\n".join(clipped(line, columns) + END_OF_LINE for line in lines)


def watch(render: Callable[[], str], every_s: float, *, as_json: bool) -> None:
    """Show what `render` returns, every `every_s` seconds, until Ctrl-C.

    It uses the terminal's alternate screen; at the end the last text is printed on the main one.
    Raises Refused without a terminal, with --json, and for an interval that is not possible.
    """
    _check(every_s, as_json=as_json)
    text = ""
    sys.stdout.write(ENTER)
    try:
        while True:
            text = render()
            columns, rows = size()
            clock = f"{second_text(time.time())}  every {every_s:g} s, Ctrl-C to end"
            sys.stdout.write(HOME + clip(f"{clock}\n\n{text}", columns, rows) + REST)
            sys.stdout.flush()
            time.sleep(every_s)
    except (KeyboardInterrupt, Interrupted):
        pass
    finally:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()
    print("\n".join(map(printable, text.split("\n"))))


def _check(every_s: float, *, as_json: bool) -> None:
    if not SHORTEST_S <= every_s <= LONGEST_S:
        raise Refused(
            f"--every must be between {SHORTEST_S:g} and {LONGEST_S:g} seconds, not {every_s:g}",
            hint="try --every 2",
        )
    if as_json:
        raise Refused("--watch never ends, but a JSON document must", hint="run it without --watch")
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise Refused("--watch needs a terminal", hint="run it without --watch")
