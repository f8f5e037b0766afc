"""How tasks that only read show many hosts: each one as soon as it has answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.fleet.fleet import Fleet
    from opstasks.fleet.host import Host
    from opstasks.output.console import Console, Part, Row

T = TypeVar("T")
Rows = Iterable[Sequence[object]]


def no_notes(value: Any) -> Iterable[str]:
    """The default: a host has no notes besides its rows."""
    return ()


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

    def table(
        self,
        read: Callable[[Host], T],
        headers: Sequence[str],
        rows: Callable[[T], Rows],
        *,
        notes: Callable[[T], Iterable[str]] = no_notes,
        nothing: str = "",
        **how: Any,
    ) -> FleetResult[T]:
        """Read all hosts, and show a table with any number of rows for each.

        The column of the host comes first. `notes` are lines that follow a host's rows; `nothing`
        is printed when the hosts that answered have no rows at all.
        """
        from opstasks.output.rows import GrowingTable

        table, count = GrowingTable(self._console), 0

        def show(batch: FleetResult[T]) -> None:
            nonlocal count
            body = [[host, *row] for host, value in batch.values.items() for row in rows(value)]
            count += len(body)
            table.add(["host", *headers], body)
            self._say(batch, notes)

        result = self.collect(read, show, **how)
        if nothing and result.values and not count:
            self._console.say(nothing)
        return result

    def overview(
        self,
        read: Callable[[Host], T],
        row: Callable[[T], Row],
        notes: Callable[[T], Iterable[str]] = no_notes,
    ) -> FleetResult[T]:
        """Read all hosts, and show one row for each; `notes` need a person's attention."""
        from opstasks.output.console import Painted
        from opstasks.output.rows import Overview

        overview = Overview(self._console, row)

        def show(batch: FleetResult[T]) -> None:
            overview.show(batch)
            self._say(batch, notes, [Painted("!", "yellow"), " "])

        return self.collect(read, show)

    def _say(
        self,
        batch: FleetResult[T],
        notes: Callable[[T], Iterable[str]],
        mark: Sequence[Part] = (),
    ) -> None:
        for host, value in batch.values.items():
            for text in notes(value):
                self._console.say(*mark, f"{host}: {text}")
