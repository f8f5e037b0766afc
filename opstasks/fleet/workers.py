"""One pass over hosts by worker threads; results reach the main thread as they arrive."""

from __future__ import annotations

import bisect
import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from opstasks.core.errors import OpsError, unforeseen
from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet.host import Host

T = TypeVar("T")
# How many hosts are read together, and how many while some do not answer.
READERS, MOST_READERS = 32, 300
# A host is slow if it takes longer than SLOW_S, and MUCH_LONGER times as long as other hosts (on a
# slow machine, more workers would make it slower). Another worker is started for each slow host.
SLOW_S, MUCH_LONGER = 1.0, 3.0
# How long the first answer waits for others, so that a fleet without slow hosts is shown whole
# and in order; and how long each later one waits.
PATIENCE_S, PAUSE_S = 0.5, 0.1
# How often the main thread wakes up: for Ctrl-C, and to look for slow hosts.
TICK_S = 0.2
# Our threads need little; the system's default is 8 MiB.
STACK_BYTES = 1 << 20


@dataclass(frozen=True)
class WorkLimits:
    """How many hosts are worked on together: `workers`, and `most` while some do not answer.

    `stops_at_failure`: nothing new is started after a failure; `closes`: each host's connection is
    closed when the work is done.
    """

    workers: int
    most: int
    stops_at_failure: bool = False
    closes: bool = False


class FleetRun(Generic[T]):
    """One pass over the hosts, which begins at once."""

    def __init__(
        self,
        hosts: Sequence[Host],
        work: Callable[[Host], T],
        stop: threading.Event,
        limits: WorkLimits,
        *,
        changes: bool,
    ) -> None:
        self._hosts, self._work, self._stop = hosts, work, stop
        self._limits, self._changes = limits, changes
        # Only the main thread uses these three; `_took` has the seconds of good hosts, in order.
        self._results: dict[str, HostResult[T]] = {}
        self._new: list[str] = []
        self._took: list[float] = []
        self._arrived: queue.SimpleQueue[HostResult[T] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = list(reversed(hosts))
        self._busy_since: dict[str, float] = {}
        self._working = 0
        self._failed = False
        self._began_at = time.monotonic()
        self._has_ended = not hosts
        self._start(min(limits.workers, len(hosts)))

    def wait(
        self,
        show: Callable[[FleetResult[T]], None] = lambda batch: None,
        on_tick: Callable[[], None] = lambda: None,
        is_held: Callable[[], bool] = lambda: False,
    ) -> FleetResult[T]:
        """Wait for all hosts, and show those that have answered; may be called again.

        Nothing is shown while `is_held`.
        """
        patience_s = PATIENCE_S
        while self._collect(patience_s, on_tick, is_held):
            self._show_new(show)
            patience_s = PAUSE_S
        return self.so_far()

    def so_far(self, show: Callable[[FleetResult[T]], None] = lambda batch: None) -> FleetResult[T]:
        """What has arrived, after showing the rest of it; other hosts have not been started."""
        while not self._arrived.empty():
            self._take(0)
        self._show_new(show)
        skipped = "interrupted" if self._stop.is_set() else "not started"
        return FleetResult(
            [self._results.get(h.name, HostResult(h.name, skipped)) for h in self._hosts]
        )

    def awaited(self) -> tuple[str, ...]:
        """The hosts that have not answered; for the main thread."""
        return tuple(h.name for h in self._hosts if h.name not in self._results)

    # -- the main thread ---------------------------------------------------------------------

    def _collect(
        self, patience_s: float, on_tick: Callable[[], None], is_held: Callable[[], bool]
    ) -> bool:
        """Wait for answers; the first waits `patience_s` for others. False without an answer."""
        until = math.inf
        while (held := is_held()) or not (self._is_over() or time.monotonic() >= until):
            # Wakes up regularly, so that Ctrl-C takes effect.
            self._take(TICK_S if held else max(0.0, min(TICK_S, until - time.monotonic())))
            if self._new and until == math.inf:
                until = time.monotonic() + patience_s
            self._help_slow_ones()
            if not held:
                on_tick()
        return bool(self._new)

    def _is_over(self) -> bool:
        return self._has_ended or len(self._results) == len(self._hosts)

    def _take(self, timeout_s: float) -> None:
        try:
            item = self._arrived.get(timeout=timeout_s) if timeout_s else self._arrived.get_nowait()
        except queue.Empty:
            return
        if item is None:
            self._has_ended = True
        else:
            self._results[item.host] = item
            self._new.append(item.host)
            if item.good:
                bisect.insort(self._took, item.elapsed_s)

    def _show_new(self, show: Callable[[FleetResult[T]], None]) -> None:
        if self._new:
            new, self._new = set(self._new), []
            show(FleetResult([self._results[h.name] for h in self._hosts if h.name in new]))

    def _help_slow_ones(self) -> None:
        """Start another worker for each one that has been busy for long, while hosts wait."""
        limit = time.monotonic() - self._patience_s()
        with self._lock:
            slow = sum(since < limit for since in self._busy_since.values())
            extra = min(slow, self._most_extra())
            wanted = min(self._limits.most, self._limits.workers + extra) - self._working
            # After the last worker has ended, nothing is started.
            missing = min(wanted, len(self._waiting)) if self._working else 0
        if missing > 0:
            self._start(missing)

    def _patience_s(self) -> float:
        """How long a host may take before it counts as slow."""
        took = self._took
        return max(SLOW_S, MUCH_LONGER * took[len(took) // 2]) if took else SLOW_S

    def _most_extra(self) -> int:
        """How many more workers may be started; grows slowly until a host has answered."""
        if self._took or not SLOW_S:
            return self._limits.most
        rounds = math.log2(max(1.0, (time.monotonic() - self._began_at) / SLOW_S))
        return self._limits.workers * (1 + int(rounds))

    def _start(self, count: int) -> None:
        """Start workers: daemon threads, so that a second Ctrl-C can end the program at once."""
        with self._lock:
            self._working += count
        usual = threading.stack_size(STACK_BYTES)
        try:
            for _ in range(count):
                threading.Thread(target=self._drain, daemon=True).start()
        finally:
            threading.stack_size(usual)

    # -- the workers -------------------------------------------------------------------------

    def _drain(self) -> None:
        while (host := self._next()) is not None:
            result = attempt(host, self._work, changes=self._changes)
            with self._lock:
                self._busy_since.pop(host.name, None)
                self._failed |= not result.good
            # The next task may want the host as soon as the result has arrived.
            closing = host.let_go() if self._limits.closes else []
            self._arrived.put(result)
            _close(closing)
        with self._lock:
            self._working -= 1
            if not self._working:
                self._arrived.put(None)

    def _next(self) -> Host | None:
        with self._lock:
            halted = self._limits.stops_at_failure and self._failed
            if halted or self._stop.is_set() or not self._waiting:
                return None
            host = self._waiting.pop()
            self._busy_since[host.name] = time.monotonic()
            return host


def _close(closing: Sequence[Callable[[], None]]) -> None:
    """Close what a host needed whose result has arrived: an error no longer matters."""
    for close in closing:
        with contextlib.suppress(Exception):
            close()


def attempt(host: Host, work: Callable[[Host], Any], *, changes: bool = True) -> HostResult[Any]:
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
