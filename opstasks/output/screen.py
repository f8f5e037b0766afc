"""Lines that are drawn again and again in the same place, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opstasks.core.errors import Interrupted
from opstasks.core.formats import second_text
from opstasks.output.console import Console
from opstasks.output.live import END_OF_LINE, ENTER, HOME, LEAVE, REST, Display, check
from opstasks.output.parts import Line, dim

__all__ = ["END_OF_LINE", "ENTER", "HOME", "LEAVE", "REST", "watch"]


def watch(render: Callable[[], str | Sequence[Line]], every_s: float, console: Console) -> None:
    """Show what `render` returns, every `every_s` seconds, until Ctrl-C.

    It uses the terminal's alternate screen; at the end the last lines are printed on the main one.
    Raises Refused without a terminal, with --json, and for an interval that is not possible.
    """
    check(every_s, is_quiet=console.is_quiet)
    lines: list[Line] = []
    try:
        with Display(console) as display:
            while True:
                lines = _lines(render())
                clock = f"{second_text(time.time())}  every {every_s:g} s, Ctrl-C to end"
                display.draw([[dim(clock)], [""], *lines])
                time.sleep(every_s)
    except (KeyboardInterrupt, Interrupted):
        pass
    console.say_lines(lines)


def _lines(shown: str | Sequence[Line]) -> list[Line]:
    return [[line] for line in shown.split("\n")] if isinstance(shown, str) else list(shown)
