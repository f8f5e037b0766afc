"""Runs on the host: the host's lock, as `opstasks.fleet.lock` takes it."""

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone

from opstasks.maintenance.onhost.records import ScheduledItem
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.flock import lock_within
from opstasks.onhost.protocol import HostRefusal

POLL_S = 1.0


@contextlib.contextmanager
def lock(site: Site, item: ScheduledItem, wait_s: float) -> Iterator[None]:
    """Hold the host's lock while inside; waits for it up to `wait_s` seconds.

    Raises HostRefusal, naming the holder, when it does not become free in time.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(site.lock_file, flags, 0o644)
    with os.fdopen(fd, "r+") as file:
        if not lock_within(fd, wait_s, POLL_S):
            file.seek(0)
            raise HostRefusal(f"someone is changing the host: {_holder(file.read())}")
        since = datetime.now(timezone.utc).isoformat(timespec="seconds")
        words = {"who": item.who, "task": item.kind, "since": since, "run_id": item.id}
        # On a full disk the lock works, only its text is missing.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, (json.dumps(words) + "\n").encode(), 0)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)


def _holder(text: str) -> str:
    """The holder of the lock, from the text of the lock file."""
    try:
        found = json.loads(text.strip().split("\n")[-1])
        return f"{found['who']}, {found['task']}, since {found['since']}"
    except (ValueError, LookupError, TypeError):
        return "unknown"
