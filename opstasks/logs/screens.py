"""What `logs` shows: records (`opstasks.logs.show`), or the journal's lines as they are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from opstasks.core.clock import Clock
from opstasks.core.result import FleetResult
from opstasks.logs.records import Grouper, LogRecord, records
from opstasks.logs.show import LogLayout, LogView
from opstasks.output.console import Console
from opstasks.output.parts import Line


class LogScreen(Protocol):
    """Shows the logs of some hosts."""

    @property
    def has_begun(self) -> bool:
        """Whether a host has answered."""

    def values(self, lines: Iterable[str]) -> Sequence[Any]:
        """What is kept of a host's lines."""

    def show(self, batch: FleetResult[Sequence[Any]]) -> None:
        """Show hosts that have answered, merged by time."""

    def stream(self, host: str) -> tuple[Callable[[str], None], Callable[[], None]]:
        """For a host that is followed: what takes each new line, and what is called in pauses."""


class RawLog:
    """The lines of the journal; those of several hosts begin with their host."""

    has_begun = False

    def __init__(self, console: Console, hosts: Sequence[str]) -> None:
        self._console, self._is_prefixed = console, len(hosts) > 1

    def values(self, lines: Iterable[str]) -> Sequence[str]:
        """The lines."""
        return list(lines)

    def show(self, batch: FleetResult[Sequence[str]]) -> None:
        """The lines of hosts, merged by the time at their beginning."""
        merged = [(line, host) for host, found in batch.values.items() for line in found]
        if self._is_prefixed:
            merged.sort(key=lambda item: item[0][:26])
        for line, host in merged:
            self._console.line(host, line, prefixed=self._is_prefixed)

    def stream(self, host: str) -> tuple[Callable[[str], None], Callable[[], None]]:
        """Show each line at once."""

        def take(line: str) -> None:
            self._console.line(host, line, prefixed=self._is_prefixed)

        def pause() -> None:
            self.has_begun = True

        return take, pause


class RecordLog:
    """Records, below a headline: time, job and message.

    `headline` and `clock` are called as soon as a host has answered: then its time zone is known.
    """

    def __init__(
        self,
        console: Console,
        hosts: Sequence[str],
        clock: Callable[[], Clock],
        headline: Callable[[LogLayout], Iterable[Line]],
    ) -> None:
        self._console, self._hosts = console, hosts
        self._clock, self._headline = clock, headline
        self._view: LogView | None = None
        self._lock = threading.Lock()

    @property
    def has_begun(self) -> bool:
        """Whether a host has answered."""
        return self._view is not None

    def values(self, lines: Iterable[str]) -> Sequence[LogRecord]:
        """The records in the lines."""
        return list(records(lines))

    def show(self, batch: FleetResult[Sequence[LogRecord]]) -> None:
        """The records of hosts, merged by time."""
        merged = [(record, host) for host, found in batch.values.items() for record in found]
        if len(self._hosts) > 1:
            merged.sort(key=lambda item: item[0].logged_at)
        if merged:
            self._say(merged)

    def stream(self, host: str) -> tuple[Callable[[str], None], Callable[[], None]]:
        """Show each record as soon as the next one begins, or no more lines come."""
        grouper = Grouper()

        def say(record: LogRecord | None) -> None:
            self._say([] if record is None else [(record, host)])

        return lambda line: say(grouper.feed(line)), lambda: say(grouper.flush())

    def _say(self, found: Iterable[tuple[LogRecord, str]]) -> None:
        with self._lock:  # the view remembers the day
            view = self._view or self._begun()
            self._console.say_lines(
                line for record, host in found for line in view.lines(host, record)
            )

    def _begun(self) -> LogView:
        """Begin: show the headline on a terminal."""
        window, wide = self._console.window, self._console.wide
        layout = LogLayout.of(self._hosts, window, self._clock(), wide=wide)
        self._view = LogView(layout)
        if window:
            self._console.say_lines(self._headline(layout))
        return self._view
