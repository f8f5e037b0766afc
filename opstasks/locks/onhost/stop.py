"""Runs on the host as root: stop processes that hold a lock.

Only processes that the operator saw are stopped, and what belongs to them: the processes of their
sessions that hold the lock, because one that forks all the time is never seen twice. Each shell of
ours and each scheduled program has a session of its own, so no later run is stopped. A process is
identified by its id and its start.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from opstasks.locks.onhost.holders import TRIES, found
from opstasks.onhost.flock import is_locked
from opstasks.onhost.lock_file import secure
from opstasks.onhost.open_files import PROC, Ids, has_locked, has_open, ids_of, processes

# Seconds that processes may take to end after SIGKILL.
KILL_WAIT_S = 5.0
POLL_S = 0.2


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Stop the processes ``shown`` ([id, start] each) and those of their ``sessions``.

    Answers with the ``lock``'s holders. An account other than root and ``account`` could take the
    lock again, so the file is replaced.
    """
    family = Family(request["lock"], request["shown"], request["sessions"])
    stop(family, request["grace_s"], kill=request["kill"])
    secure(request["lock"], request["account"])
    return {"holders": found(request["lock"])}


class Family:
    """The processes that were shown, and those that hold the lock in their sessions."""

    def __init__(self, lock: str, shown: list[list[int]], sessions: list[int]) -> None:
        self._lock = lock
        self._shown = {(pid, start_ticks) for pid, start_ticks in shown}
        # 0 is the session of a process that another container started.
        self._sessions = set(sessions) - {0, os.getsid(0)}

    def was_shown(self, ids: Ids) -> bool:
        """Whether the operator saw this process."""
        return (ids.pid, ids.start_ticks) in self._shown

    def members(self) -> Iterator[Ids]:
        """Those that run now."""
        try:
            wanted = Path(self._lock).stat()
        except FileNotFoundError:
            return
        for folder, ids in processes():
            with contextlib.suppress(OSError):
                if self.was_shown(ids):
                    belongs = has_open(folder, wanted)
                else:
                    belongs = ids.session in self._sessions and has_locked(folder, wanted)
                if belongs:
                    yield ids

    def is_gone(self) -> bool:
        """Whether none is left; if somebody has the lock, look several times."""
        for _ in range(TRIES):
            if any(True for _ in self.members()):
                return False
            with contextlib.suppress(OSError):
                if is_locked(self._lock):
                    continue
            break
        return True


def stop(family: Family, grace_s: float, *, kill: bool) -> None:
    """Terminate the processes; with `kill`, kill those left after `grace_s` seconds."""
    asked: set[Ids] = set()

    def ask() -> None:
        for ids in family.members():
            if ids not in asked:
                asked.add(ids)
                send(ids, signal.SIGTERM)

    if not repeat_until_gone(family, ask, grace_s) and kill:
        repeat_until_gone(family, lambda: end(family), KILL_WAIT_S)


def repeat_until_gone(family: Family, act: Callable[[], None], limit_s: float) -> bool:
    """Act again and again; returns whether all processes were gone in time."""
    deadline = time.monotonic() + limit_s
    while True:
        act()
        if family.is_gone():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)


def end(family: Family) -> None:
    """Kill the processes, and new ones with their group: the kernel leaves out none that forks."""
    for ids in family.members():
        send(ids, signal.SIGKILL)
        if not family.was_shown(ids) and ids.group not in (0, os.getpgid(0)):
            with contextlib.suppress(OSError):
                os.killpg(ids.group, signal.SIGKILL)


def send(ids: Ids, number: signal.Signals) -> None:
    """Signal a process through a descriptor, as its id may be reused at any time."""
    with contextlib.suppress(OSError):
        fd = os.pidfd_open(ids.pid)
        try:
            if ids_of(PROC / str(ids.pid)).start_ticks == ids.start_ticks:
                signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)
