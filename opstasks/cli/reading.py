"""How tasks that only read show many hosts: each one as soon as it has answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.fleet.fleet import Fleet
    from opstasks.fleet.host import Host
    from opstasks.output.console import Console
    from opstasks.output.parts import Line
    from opstasks.output.screens import Screen

T = TypeVar("T")


class HostReader:
    """Reads all hosts, for a task that does nothing else with them."""

    def __init__(self, fleet: Fleet, console: Console) -> None:
        self._fleet, self._console = fleet, console

    def collect(
        self,
        read: Callable[[Host], T],
        show: Callable[[FleetResult[T]], None],
        **how: Any,
    ) -> FleetResult[T]:
        """Read all hosts; `show` prints those that have answered since its last call.

        The errors of these hosts follow. With --json nothing is shown here, and Ctrl-C returns the
        answers so far; without it, Ctrl-C raises Interrupted. `how` is passed to `Fleet.gather`.
        """
        from opstasks.fleet.fleet import GatherInterrupted

        def shown(batch: FleetResult[T]) -> None:
            if not self._console.as_json:
                show(batch)
                self._console.arrived(batch)

        try:
            return self._fleet.gather(read, show=shown, is_last=True, **how)
        except GatherInterrupted as error:
            if not self._console.as_json:
                raise
            return error.result

    def screen(self, read: Callable[[Host], T], screen: Screen[T], **how: Any) -> FleetResult[T]:
        """Read all hosts, and show their answers.

        On a terminal, the rows so far are shown while hosts are awaited, and then replaced by the
        whole screen. In a pipe, rows are printed as they arrive; also on a terminal where no line
        can be rewritten, with the headline at the end.
        """
        if self._console.is_quiet or not self._console.is_live:
            return self._growing(read, screen, **how)
        return self._live(read, screen, **how)

    def _growing(self, read: Callable[[Host], T], screen: Screen[T], **how: Any) -> FleetResult[T]:
        from opstasks.output.rows import GrowingTable

        table = GrowingTable(self._console, screen.columns)
        has_rows = False

        def show(batch: FleetResult[T]) -> None:
            nonlocal has_rows
            rows = screen.table_rows(batch)
            has_rows = has_rows or bool(rows)
            table.add(rows)
            screen.show_notes(self._console, batch)
            if screen.ids is not None and self._console.ids_only:
                self._console.ids(id for value in batch.values.values() for id in screen.ids(value))

        result = self.collect(read, show, **how)
        table.end()
        screen.show_end(self._console, result, has_rows=has_rows)
        if self._console.window and (headline := screen.headline(result)):
            # Only now it is known; it also names the time zone.
            self._console.say_lines([headline])
        return result

    def _live(self, read: Callable[[Host], T], screen: Screen[T], **how: Any) -> FleetResult[T]:
        from opstasks.core.result import FleetResult
        from opstasks.fleet.fleet import GatherInterrupted
        from opstasks.output.table import draw

        console = self._console
        arrived: dict[str, HostResult[T]] = {}

        def preview(rows: int) -> list[Line]:
            # More rows than lines would take time to draw, and nobody sees them.
            items = [arrived[h.name] for h in self._fleet.hosts if h.name in arrived]
            so_far: FleetResult[T] = FleetResult(items)
            found = screen.table_rows(so_far)
            table = draw(screen.columns, found[:rows], console.window, wide=console.wide)
            return [*table.lines, *screen.note_lines(so_far)]

        def show(batch: FleetResult[T]) -> None:
            arrived.update((item.host, item) for item in batch)
            console.preview(preview)

        try:
            result = self._fleet.gather(read, show=show, is_last=True, **how)
        except GatherInterrupted as error:
            self._end(error.result, screen)
            raise
        self._end(result, screen)
        return result

    def _end(self, result: FleetResult[T], screen: Screen[T]) -> None:
        screen.show(self._console, result)
        self._console.problems(result)
