"""Runs on the host as root: find the processes that have a lock file open."""

import contextlib
from typing import Any

from opstasks.onhost.flock import is_locked
from opstasks.onhost.open_files import holders

# A process that forks all the time may be gone before its open files are read.
TRIES = 100


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Answer with the processes that have the file ``lock`` open."""
    return {"holders": found(request["lock"])}


def found(path: str) -> list[dict[str, Any]]:
    """The holders; looks again if there is none although the lock is held."""
    for _ in range(TRIES):
        every = holders(path)
        if every:
            return every
        with contextlib.suppress(OSError):
            if is_locked(path):
                continue
        break
    return []
