"""Runs on the host: locks that may not be free yet."""

import fcntl
import os
import time


def lock_within(fd: int, wait_s: float, poll_s: float) -> bool:
    """Lock an open file, trying at an interval; returns whether that succeeded in time."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(poll_s, max(0.01, left)))
        else:
            return True


def is_locked(path: str) -> bool:
    """Whether another process has locked a file; raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not lock_within(fd, 0, 0)
    finally:
        os.close(fd)
