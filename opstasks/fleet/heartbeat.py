"""Keeps open shells alive: a shell without a heartbeat for a minute ends by itself.

So a laptop that lost its network holds no lock and leaves no shell behind.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import Protocol

HEARTBEAT_S = 15.0
# How long a shell on a host waits for a heartbeat of its client.
SILENCE_S = 60


class HasHeartbeat(Protocol):
    """What can be kept alive."""

    def heartbeat(self) -> None:
        """Tell the other side that this side is alive."""


class Heartbeats:
    """One thread that sends heartbeats for everything that was added and is still in use."""

    def __init__(self) -> None:
        self._members: weakref.WeakSet[HasHeartbeat] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, member: HasHeartbeat) -> None:
        """Send heartbeats from now on."""
        with self._lock:
            self._members.add(member)
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, daemon=True)
                self._thread.start()

    def discard(self, member: HasHeartbeat) -> None:
        """Send no more heartbeats."""
        with self._lock:
            self._members.discard(member)

    def _beat(self) -> None:
        while True:
            time.sleep(HEARTBEAT_S)
            with self._lock:
                members = list(self._members)
            for member in members:
                member.heartbeat()


HEARTBEATS = Heartbeats()
