"""Many hosts at once, or one after another; a host's failure never loses another's result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from opstasks.core.errors import Interrupted, OpsError, unforeseen
from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet.host import Host

T = TypeVar("T")
READERS = 32


class Fleet:
    """The selected hosts, in inventory order.

    `parallel` is how many hosts are worked on together at most (0: the default, 32 for reading
    and 1 for changing); `keep_going` means to continue after a failure.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        *,
        parallel: int = 0,
        keep_going: bool = False,
        stop: threading.Event | None = None,
        on_interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self.hosts = list(hosts)
        self.parallel = parallel
        self.keep_going = keep_going
        self.stop = stop or threading.Event()
        self.on_interrupt = on_interrupt

    @classmethod
    def of(cls, fleet: Fleet, hosts: Sequence[Host]) -> Fleet:
        """Some of a fleet's hosts, with the fleet's settings."""
        return cls(
            hosts,
            parallel=fleet.parallel,
            keep_going=fleet.keep_going,
            stop=fleet.stop,
            on_interrupt=fleet.on_interrupt,
        )

    def gather(
        self,
        read: Callable[[Host], T],
        *,
        interrupted: str = "interrupted; nothing was changed",
        changes: bool = False,
    ) -> FleetResult[T]:
        """Work on all hosts together; after Ctrl-C, unfinished hosts get the error `interrupted`.

        `changes`: the work may change the hosts.
        """
        workers = self.parallel or READERS
        run = _Run(self, read, workers=workers, stop_at_failure=False, changes=changes)
        try:
            return run.wait()
        except KeyboardInterrupt:
            self.stop.set()
            raise Interrupted(interrupted) from None

    def roll(self, work: Callable[[Host], T]) -> FleetResult[T]:
        """Change hosts one after another; stop at the first failure.

        The first Ctrl-C lets the current step end and starts nothing new; the second one
        raises KeyboardInterrupt at once.
        """
        stop_at_failure = not (self.keep_going or self.parallel)
        run = _Run(self, work, workers=self.parallel or 1, stop_at_failure=stop_at_failure)
        try:
            return run.wait()
        except KeyboardInterrupt:
            self.stop.set()
            self.on_interrupt()
            return run.wait()

    def close(self) -> None:
        """Drop every connection."""
        for host in self.hosts:
            host.close()


class _Run(Generic[T]):
    """One pass over the hosts by a few worker threads."""

    def __init__(
        self,
        fleet: Fleet,
        work: Callable[[Host], T],
        *,
        workers: int,
        stop_at_failure: bool,
        changes: bool = True,
    ) -> None:
        self._fleet, self._work, self._stop_at_failure = fleet, work, stop_at_failure
        self._changes = changes
        self._waiting = list(reversed(fleet.hosts))
        self._results: dict[str, HostResult[T]] = {}
        self._lock = threading.Lock()
        self._failed = False
        self._working = min(workers, len(fleet.hosts))
        # Not Thread.join: in Python 3.11 a Ctrl-C inside it marks a running thread as ended.
        self._ended = threading.Event()
        # Daemon threads: a second Ctrl-C must be able to end the program at once.
        for _ in range(self._working):
            threading.Thread(target=self._drain, daemon=True).start()

    def wait(self) -> FleetResult[T]:
        """Wait for the workers; hosts without a worker are reported as not started."""
        while self._fleet.hosts and not self._ended.wait(0.2):
            pass  # wakes up regularly, so that Ctrl-C takes effect
        skipped = "interrupted" if self._fleet.stop.is_set() else "not started"
        return FleetResult(
            [
                self._results.get(host.name, HostResult(host.name, skipped))
                for host in self._fleet.hosts
            ]
        )

    def _drain(self) -> None:
        while (host := self._next()) is not None:
            result = attempt(host, self._work, changes=self._changes)
            with self._lock:
                self._results[host.name] = result
                self._failed |= not result.good
        with self._lock:
            self._working -= 1
            if not self._working:
                self._ended.set()

    def _next(self) -> Host | None:
        with self._lock:
            halted = self._stop_at_failure and self._failed
            if halted or self._fleet.stop.is_set() or not self._waiting:
                return None
            return self._waiting.pop()


def attempt(host: Host, work: Callable[[Host], T], *, changes: bool = True) -> HostResult[T]:
    """Work on one host; every failure becomes an outcome.

    Without `changes` a value with `changed` is only a plan: the outcome is "ok".
    """
    started = time.monotonic()
    try:
        value = work(host)
    except OpsError as error:
        error.host = error.host or host.name
        elapsed = time.monotonic() - started
        return HostResult(host.name, error.outcome, error=error, elapsed_s=elapsed)
    except Exception as error:  # a defect of ours must not hide the other hosts' results
        return HostResult(host.name, "failed", error=unforeseen(error, host.name))
    outcome = "changed" if changes and getattr(value, "changed", False) else "ok"
    return HostResult(host.name, outcome, value, elapsed_s=time.monotonic() - started)
