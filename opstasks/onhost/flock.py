"""Runs on the host: a lock that may not be free yet."""

import fcntl
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
