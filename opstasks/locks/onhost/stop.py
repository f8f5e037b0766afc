"""Runs on the host as root: stop processes that have a lock file open.

Only processes that the operator saw are stopped, and only while they still have the file open. A
process is identified by its id and its start.
"""

import contextlib
import os
import signal
import time
from typing import Any

from opstasks.onhost.lock_file import secure
from opstasks.onhost.open_files import PROC, holders, start_of

Shown = list[list[int]]
# Seconds that a process may take to end after SIGKILL.
KILL_WAIT_S = 5.0
POLL_S = 0.2


def stop(lock: str, shown: Shown, grace_s: float, kill: bool) -> None:
    """Terminate the processes; with `kill`, kill those left after `grace_s` seconds."""
    send(lock, shown, signal.SIGTERM)
    if not wait_until_gone(lock, shown, grace_s) and kill:
        send(lock, shown, signal.SIGKILL)
        wait_until_gone(lock, shown, KILL_WAIT_S)


def still_holding(lock: str, shown: Shown) -> list[int]:
    """The ids of the shown processes that still have the lock open."""
    wanted = {(pid, start_ticks) for pid, start_ticks in shown}
    return [p["pid"] for p in holders(lock) if (p["pid"], p["start_ticks"]) in wanted]


def send(lock: str, shown: Shown, number: signal.Signals) -> None:
    """Signal processes through descriptors, as ids may be reused at any time."""
    starts = {pid: start_ticks for pid, start_ticks in shown}
    for pid in still_holding(lock, shown):
        with contextlib.suppress(OSError):
            fd = os.pidfd_open(pid)
            try:
                if start_of(PROC / str(pid)) == starts[pid]:
                    signal.pidfd_send_signal(fd, number)
            finally:
                os.close(fd)


def wait_until_gone(lock: str, shown: Shown, limit_s: float) -> bool:
    """Whether all of them closed the lock file within the time."""
    deadline = time.monotonic() + limit_s
    while still_holding(lock, shown):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Stop the processes ``shown`` ([id, start] each); answer with the ``lock``'s holders.

    An account other than root and ``account`` could take the lock again, so the file is replaced.
    """
    stop(request["lock"], request["shown"], request["grace_s"], request["kill"])
    secure(request["lock"], request["account"])
    return {"holders": holders(request["lock"])}
