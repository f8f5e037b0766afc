"""Waiting for output on an SSH channel, without losing a wake-up.

paramiko's own way, `select()` on the channel, joins its two streams in a pipe. If one stream is
filled while the other is being emptied, the pipe stays empty although both have data, and the
reader waits forever. Here both streams set one object, and only the reader clears it, always
before it looks at the streams.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import paramiko


class Arrivals:
    """Set by both streams of a channel when data or the end arrives."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._event = threading.Event()
        watch(channel, self)

    def set(self) -> None:
        """Called by a stream when data or its end arrives, or by the reader when some is left."""
        self._event.set()

    def clear(self) -> None:
        """Called by a stream when it was emptied: the other stream may still have data."""

    def wait(self, timeout_s: float) -> None:
        """Wait until something has arrived since the last call; then look at both streams."""
        self._event.wait(timeout_s)
        self._event.clear()


class SelectableArrivals:
    """`Arrivals` for a reader that also waits for files: a pipe that is readable when set."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._lock = threading.Lock()
        self._is_closed = False

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._reader

    def set(self) -> None:
        """Called by a stream when data or its end arrives."""
        with self._lock, contextlib.suppress(BlockingIOError):  # a full pipe is readable, too
            if not self._is_closed:
                os.write(self._writer, b"!")

    def clear(self) -> None:
        """Called by a stream when it was emptied: the other stream may still have data."""

    def wait(self, others: Sequence[int]) -> list[int]:
        """Wait until something has arrived or some of `others` are readable; returns the latter."""
        watcher = select.poll()
        for descriptor in (self._reader, *others):
            watcher.register(descriptor, select.POLLIN)
        ready = [descriptor for descriptor, _ in watcher.poll()]
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 1 << 16)
        return ready

    def close(self) -> None:
        """Close the pipe; streams may still call `set`."""
        with self._lock:
            self._is_closed = True
            os.close(self._reader)
            os.close(self._writer)


@contextlib.contextmanager
def selectable(channel: paramiko.Channel) -> Iterator[SelectableArrivals]:
    """Watch a channel while inside."""
    arrivals = SelectableArrivals()
    watch(channel, arrivals)
    try:
        yield arrivals
    finally:
        arrivals.close()


def watch(channel: paramiko.Channel, arrivals: Arrivals | SelectableArrivals) -> None:
    """Let both streams of a channel set an object; it is set at once if they have data already."""
    event: Any = arrivals  # paramiko only calls set() and clear()
    channel.in_buffer.set_event(event)
    channel.in_stderr_buffer.set_event(event)
