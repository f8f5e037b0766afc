"""A table that is drawn again and again in the same place, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from opstasks.core.errors import Interrupted, Refused
from opstasks.fleet.terminal import size

SHORTEST_S, LONGEST_S = 0.2, 3600.0

ENTER, LEAVE, HOME, END_OF_LINE, REST = (
    "\x1b[?1049h\x1b[?25l",
    "\x1b[?25h\x1b[?1049l",
    "\x1b[H",
    "\x1b[K",
    "\x1b[J",
)


def clip(text: str, columns: int, rows: int) -> str:
    """As much of a text as fits; says how many lines do not."""
    lines = text.splitlines()
    if len(lines) > rows:
        lines = [*lines[: rows - 1], f"... {len(lines) - rows + 1} more line(s)"]
    return "\r\n".join(line[:columns] + END_OF_LINE for line in lines)


def watch(render: Callable[[], str], every_s: float, *, as_json: bool) -> None:
    """Show what `render` returns, every so many seconds; Ctrl-C is the way to end it.

    The text stands on the terminal's other screen; the last one stays behind on the first.
    Raises Refused where nothing can be shown again and again, or not so often.
    """
    if not SHORTEST_S <= every_s <= LONGEST_S:
        raise Refused(
            f"--every {every_s:g} is not between {SHORTEST_S:g} and {LONGEST_S:g} seconds",
            hint="try --every 2",
        )
    if as_json:
        raise Refused(
            "--watch has no end, and a JSON document needs one", hint="run it without --watch"
        )
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise Refused("--watch needs a terminal", hint="run it without --watch")
    text = ""
    sys.stdout.write(ENTER)
    try:
        while True:
            text = render()
            columns, rows = size()
            clock = f"{time.strftime('%H:%M:%S')}  every {every_s:g} s, Ctrl-C to end"
            sys.stdout.write(HOME + clip(f"{clock}\n\n{text}", columns, rows) + REST)
            sys.stdout.flush()
            time.sleep(every_s)
    except (KeyboardInterrupt, Interrupted):
        pass
    finally:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()
    print(text)
