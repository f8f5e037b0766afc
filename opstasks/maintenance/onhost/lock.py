"""Runs on the host: the host's lock, as `opstasks.fleet.lock` takes it."""

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone

from opstasks.maintenance.onhost.account import Site
from opstasks.maintenance.onhost.item import Record
from opstasks.onhost.commands import StepError
from opstasks.onhost.flock import lock_within

POLL_S = 1.0


@contextlib.contextmanager
def lock(site: Site, record: Record, wait_s: float) -> Iterator[None]:
    """Hold the host's lock; refuses, naming the holder, when it does not come free in time."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(site["lock_file"], flags, 0o644)
    with os.fdopen(fd, "r+") as file:
        if not lock_within(fd, wait_s, POLL_S):
            file.seek(0)
            raise StepError(f"someone is changing the host: {holder(file.read())}", refused=True)
        since = datetime.now(timezone.utc).isoformat(timespec="seconds")
        words = {"who": record["who"], "task": record["kind"], "since": since}
        # A full disk takes the words, not the lock.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, (json.dumps({**words, "run_id": record["id"]}) + "\n").encode(), 0)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)


def holder(text: str) -> str:
    """Who holds the lock, from what the lock file says."""
    try:
        found = json.loads(text.strip().splitlines()[-1])
        return f"{found['who']}, {found['task']}, since {found['since']}"
    except (ValueError, LookupError, TypeError):
        return "unknown"
