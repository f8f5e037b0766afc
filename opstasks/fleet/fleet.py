"""Many hosts at once, or one after another; a host's failure never loses another's result."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from opstasks.core import events
from opstasks.core.errors import Interrupted
from opstasks.core.formats import first_names
from opstasks.core.result import FleetResult
from opstasks.fleet.host import Host
from opstasks.fleet.outcomes import RunOutcomes
from opstasks.fleet.workers import MOST_READERS, READERS, FleetRun, WorkLimits

T = TypeVar("T")
# How many hosts a message names.
NAMED = 10
# With at most this many hosts, connections stay open: the next task on the line may need them.
KEPT_OPEN = 8


class GatherInterrupted(Interrupted):
    """Ctrl-C while hosts were read; `result` has the answers so far."""

    def __init__(self, message: str, result: FleetResult[Any]) -> None:
        silent = [item.host for item in result if item.outcome == "interrupted"]
        super().__init__(f"{message}; no answer from {named(silent)}" if silent else message)
        self.result = result


def named(hosts: Sequence[str]) -> str:
    """The first hosts by name, and the number of further ones."""
    return first_names(hosts, NAMED)


class Fleet:
    """The selected hosts, in inventory order.

    `parallel` is how many hosts are worked on together at most (0: the default, 32 for reading
    and 1 for changing); `keep_going` means to continue after a failure. `show` is what `gather`
    calls with the hosts that have answered, unless it is given another function; nothing is shown
    while `is_held`, that is while a person types. `observer` is told which hosts are awaited.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        *,
        parallel: int = 0,
        keep_going: bool = False,
        stop: threading.Event | None = None,
        on_interrupt: Callable[[], None] = lambda: None,
        show: Callable[[FleetResult[Any]], None] = lambda batch: None,
        is_held: Callable[[], bool] = lambda: False,
        observer: events.Observer = events.ignore,
    ) -> None:
        self.hosts = list(hosts)
        self.parallel = parallel
        self.keep_going = keep_going
        self.stop = stop or threading.Event()
        self.on_interrupt = on_interrupt
        self.show = show
        self.is_held = is_held
        self.observer = observer
        self.outcomes = RunOutcomes()

    @classmethod
    def of(cls, fleet: Fleet, hosts: Sequence[Host]) -> Fleet:
        """Some of a fleet's hosts, with the fleet's settings."""
        made = cls(
            hosts,
            parallel=fleet.parallel,
            keep_going=fleet.keep_going,
            stop=fleet.stop,
            on_interrupt=fleet.on_interrupt,
            show=fleet.show,
            is_held=fleet.is_held,
            observer=fleet.observer,
        )
        made.outcomes = fleet.outcomes
        return made

    def gather(
        self,
        read: Callable[[Host], T],
        *,
        interrupted: str = "interrupted; nothing was changed",
        changes: bool = False,
        show: Callable[[FleetResult[T]], None] | None = None,
        on_tick: Callable[[], None] = lambda: None,
        is_last: bool = False,
    ) -> FleetResult[T]:
        """Work on all hosts together.

        `show` is called in this thread with the hosts that have answered since the last call, in
        inventory order; `on_tick` a few times each second. `changes`: the work may change the
        hosts. `is_last`: the task needs the hosts for nothing else, so that with many hosts
        each connection is closed as soon as its host is done.
        After Ctrl-C what has arrived is shown, then GatherInterrupted is raised with the message
        `interrupted`.
        """
        limits = WorkLimits(
            workers=self.parallel or READERS,
            most=self.parallel or MOST_READERS,
            closes=is_last and len(self.hosts) > KEPT_OPEN,
        )
        self.outcomes.has_begun = True
        run = FleetRun(self.hosts, read, self.stop, limits, changes=changes)
        try:
            with self._awaited(run, on_tick) as tick:
                result = run.wait(show or self.show, tick, self.is_held)
        except KeyboardInterrupt:
            self.stop.set()
            result = run.so_far(show or self.show)
            self.outcomes.take(result, is_plan=not is_last)
            raise GatherInterrupted(interrupted, result) from None
        self.outcomes.take(result, is_plan=not is_last)
        return result

    @contextlib.contextmanager
    def _awaited(
        self, run: FleetRun[Any], on_tick: Callable[[], None]
    ) -> Iterator[Callable[[], None]]:
        """Tell the observer which hosts are awaited; yields what is to be called regularly."""
        names = tuple(host.name for host in self.hosts)

        def tick() -> None:
            self.observer(events.HostsAwaited(names, run.awaited()))
            on_tick()

        try:
            tick()
            yield tick
        finally:
            self.observer(events.HostsAwaited(names, ()))

    def roll(
        self,
        work: Callable[[Host], T],
        show: Callable[[FleetResult[T]], None] = lambda batch: None,
    ) -> FleetResult[T]:
        """Change hosts one after another; stop at the first failure.

        `show` is called in this thread with the hosts that are done. The first Ctrl-C lets the
        current step end and starts nothing new; the second one raises KeyboardInterrupt at once.
        """
        limits = WorkLimits(
            workers=self.parallel or 1,
            most=self.parallel or 1,
            stops_at_failure=not (self.keep_going or self.parallel),
        )
        self.outcomes.has_begun = self.outcomes.has_rolled = True
        run = FleetRun(self.hosts, self._told(work), self.stop, limits, changes=True)
        try:
            run.wait(show)
        except KeyboardInterrupt:
            self.stop.set()
            self.on_interrupt()
            run.wait(show)
        finally:
            result = run.so_far(show)
            self.outcomes.take(result, is_plan=False)
        return result

    def _told(self, work: Callable[[Host], T]) -> Callable[[Host], T]:
        """The same work; the observer is told when it begins and ends on a host."""
        numbers = {host.name: number for number, host in enumerate(self.hosts, 1)}

        def told(host: Host) -> T:
            self.observer(events.HostBegun(host.name, numbers[host.name], len(self.hosts)))
            try:
                return work(host)
            finally:
                self.observer(events.HostEnded(host.name))

        return told
