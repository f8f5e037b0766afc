"""What `logs` shows: records (`opstasks.logs.show`), or the journal's lines as they are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from opstasks.core.clock import Clock
from opstasks.core.result import FleetResult
from opstasks.logs.read import WantedLog
from opstasks.logs.records import Grouper, LogRecord, records
from opstasks.logs.show import LogLayout, LogView, headline
from opstasks.output.console import Console


class LogScreen(Protocol):
    """Shows the logs of some hosts."""

    def begin(self, wanted: WantedLog, *, follow: bool) -> None:
        """Say what follows, before any host has answered."""

    def values(self, lines: Iterable[str]) -> Sequence[Any]:
        """What is kept of a host's lines."""

    def show(self, batch: FleetResult[Sequence[Any]]) -> None:
        """Show hosts that have answered, merged by time."""

    def stream(self, host: str) -> tuple[Callable[[str], None], Callable[[], None]]:
        """For a host that is followed: what takes each new line, and what is called in pauses."""


class RawLog:
    """The lines of the journal; those of several hosts begin with their host."""

    def __init__(self, console: Console, hosts: Sequence[str]) -> None:
        self._console, self._is_prefixed = console, len(hosts) > 1

    def begin(self, wanted: WantedLog, *, follow: bool) -> None:
        """Nothing: all that is shown are the lines."""

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

        return take, lambda: None


class RecordLog:
    """Records: time, job and message."""

    def __init__(self, console: Console, hosts: Sequence[str], clock: Clock) -> None:
        self._console, self._hosts = console, hosts
        self._layout = LogLayout.of(hosts, console.window, clock, wide=console.wide)
        self._view = LogView(self._layout)
        self._lock = threading.Lock()

    def begin(self, wanted: WantedLog, *, follow: bool) -> None:
        """On a terminal, a headline."""
        if self._layout.width:
            self._console.say_lines(headline(wanted, self._hosts, self._layout, follow=follow))

    def values(self, lines: Iterable[str]) -> Sequence[LogRecord]:
        """The records in the lines."""
        return list(records(lines))

    def show(self, batch: FleetResult[Sequence[LogRecord]]) -> None:
        """The records of hosts, merged by time."""
        merged = [(record, host) for host, found in batch.values.items() for record in found]
        if len(self._hosts) > 1:
            merged.sort(key=lambda item: item[0].logged_at)
        self._say(merged)

    def stream(self, host: str) -> tuple[Callable[[str], None], Callable[[], None]]:
        """Show each record as soon as the next one begins, or no more lines come."""
        grouper = Grouper()

        def say(record: LogRecord | None) -> None:
            if record is not None:
                self._say([(record, host)])

        return lambda line: say(grouper.feed(line)), lambda: say(grouper.flush())

    def _say(self, found: Iterable[tuple[LogRecord, str]]) -> None:
        with self._lock:  # the view remembers the day
            lines = [line for record, host in found for line in self._view.lines(host, record)]
            self._console.say_lines(lines)
