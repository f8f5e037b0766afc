"""`--watch` of tasks that read hosts: their screen, drawn again and again until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from invoke.exceptions import Exit

from opstasks.cli.app import Context
from opstasks.core import events
from opstasks.core.errors import INTERRUPTED, Interrupted
from opstasks.core.formats import first_names, span_text

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.fleet.host import Host
    from opstasks.output.parts import Line
    from opstasks.output.screens import Screen

T = TypeVar("T")
NAMED = 3


def watch_hosts(
    ctx: Context, read: Callable[[Host], T], screen: Callable[[], Screen[T]], every_s: float
) -> NoReturn:
    """Show a screen, refreshed every so many seconds; Ctrl-C ends the program without an error.

    `screen` is made for each drawing, because the time and the window change. A host that is slow
    keeps its last rows until it answers. Raises Refused without a terminal, with --json or -q, and
    for an interval that is not possible.
    """
    from opstasks.output import live

    live.check(every_s, is_quiet=ctx.console.is_quiet)
    ctx.fleet.outcomes.is_kept = False
    rounds = _Rounds(ctx, screen, every_s)
    try:
        with ctx.console.held(), live.Display(ctx.console) as display:
            rounds.run(read, display.draw)
    except (KeyboardInterrupt, Interrupted):
        pass
    if rounds.latest:
        ctx.console.say_lines(rounds.lines())
    raise Exit(code=INTERRUPTED)


class _Rounds:
    """The answers so far: `latest` has the last one of each host."""

    def __init__(self, ctx: Context, screen: Callable[[], Screen[Any]], every_s: float) -> None:
        self._ctx, self._screen, self._every_s = ctx, screen, every_s
        self._awaited: tuple[str, ...] = ()
        self._began_s = time.monotonic()
        self.latest: dict[str, HostResult[Any]] = {}

    def run(self, read: Callable[[Host], Any], draw: Callable[[list[Line]], None]) -> NoReturn:
        """Read all hosts and draw what they say, until an exception ends it."""
        fleet = self._ctx.quiet_fleet
        fleet.observer = self._note

        def show(batch: FleetResult[Any]) -> None:
            self.latest.update((item.host, item) for item in batch)
            draw(self._all_lines())

        while True:
            self._began_s = time.monotonic()
            fleet.gather(read, show=show, on_tick=lambda: draw(self._all_lines()))
            draw(self._all_lines())
            time.sleep(max(0.0, self._began_s + self._every_s - time.monotonic()))

    def _note(self, event: events.Event) -> None:
        if isinstance(event, events.HostsAwaited):
            self._awaited = event.awaited

    def _all_lines(self) -> list[Line]:
        return [[self._head()], [""], *self.lines()]

    def _head(self) -> str:
        text = f"every {span_text(self._every_s)}, Ctrl-C to end"
        waits_s = time.monotonic() - self._began_s
        if self._awaited and waits_s >= 1:
            text += f"; waiting for {first_names(self._awaited, NAMED)} ({waits_s:.0f} s)"
        return text

    def lines(self) -> list[Line]:
        """The screen for the answers so far, and the errors."""
        from opstasks.core.result import FleetResult, HostResult
        from opstasks.output import failures

        if not self.latest:
            return []
        names = [host.name for host in self._ctx.fleet.hosts]
        found = [self.latest.get(name) or HostResult(name, "awaited") for name in names]
        console = self._ctx.console
        result: FleetResult[Any] = FleetResult(found)
        lines = self._screen().lines(result, console.window, wide=console.wide)
        for group in failures.grouped(item.error for item in found if item.error):
            lines += failures.lines(group, console.window)
        return lines
