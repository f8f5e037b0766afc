"""The output of `run`: whole when it is short, line by line while a command takes long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opstasks.core.lines import lines_of

if TYPE_CHECKING:
    from opstasks.core.result import Result
    from opstasks.output.console import Console

# Output of a command that ends within this time is shown at once, host by host.
HOLD_S = 1.0


@dataclass
class _Stream:
    """One output of one host: the lines that wait, and how many characters were shown."""

    waiting: bytearray = field(default_factory=bytearray)
    shown: int = 0

    def take(self) -> list[str]:
        """The lines that wait; they count as shown."""
        text, self.waiting = self.waiting.decode("utf-8", "surrogateescape"), bytearray()
        self.shown += len(text)
        return lines_of(text)


class _HostOutput:
    """The output of one host so far; `since` is when the first line that waits arrived."""

    def __init__(self) -> None:
        self.out, self.err = _Stream(), _Stream()
        self.since = 0.0
        self.is_live = False


class LiveOutput:
    """Shows what commands print; lines come from many threads, and are shown by one."""

    def __init__(
        self, console: Console, *, prefixed: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._prefixed, self._clock = console, prefixed, clock
        self._lock = threading.Lock()
        self._hosts: dict[str, _HostOutput] = {}

    def take(self, host: str, out: bytes, err: bytes) -> None:
        """Keep lines of a command that is still running; called by any thread."""
        with self._lock:
            found = self._hosts.setdefault(host, _HostOutput())
            if not (found.out.waiting or found.err.waiting):
                found.since = self._clock()
            found.out.waiting += out
            found.err.waiting += err

    def tick(self) -> None:
        """Show the lines that have waited for long enough; called often."""
        now = self._clock()
        for host, found in list(self._hosts.items()):
            waits = found.out.waiting or found.err.waiting
            if waits and (found.is_live or now - found.since >= HOLD_S):
                found.is_live = True
                self.flush(host)

    def flush(self, host: str) -> None:
        """Show the lines of a host that wait."""
        with self._lock:
            found = self._hosts.get(host)
            lines = (found.out.take(), found.err.take()) if found else ([], [])
        self._print(host, *lines)

    def drop(self, host: str) -> None:
        """Forget the lines of a host that wait: its whole output is shown in another way."""
        with self._lock:
            self._hosts.pop(host, None)

    def flush_all(self) -> None:
        """Show everything that has arrived, such as after Ctrl-C."""
        for host in list(self._hosts):
            self.flush(host)

    def end(self, host: str, result: Result) -> None:
        """Show the rest of a command's output."""
        with self._lock:
            found = self._hosts.pop(host, None) or _HostOutput()
        out, err = result.out[found.out.shown :], result.err[found.err.shown :]
        self._print(host, lines_of(out), lines_of(err))

    def _print(self, host: str, out: list[str], err: list[str]) -> None:
        self._console.lines(host, out, prefixed=self._prefixed)
        for line in err:
            self._console.error_line(host, line, prefixed=self._prefixed)
