"""Runs on the host: the host's lock, as `opstasks.fleet.lock` takes it."""

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from opstasks.maintenance.onhost.records import ScheduledItem
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.json_files import read_json
from opstasks.onhost.lock_file import take
from opstasks.onhost.protocol import HostRefusal

POLL_S = 1.0


@contextlib.contextmanager
def lock(site: Site, item: ScheduledItem, wait_s: float) -> Iterator[None]:
    """Hold the host's lock while inside; waits for it up to `wait_s` seconds.

    A process of an account other than root and the service account does not delay it.

    Raises HostRefusal, naming the holder, when it does not become free in time.
    """
    fd = take(site.lock_file, site.service_user, wait_s, POLL_S)
    if fd is None:
        raise HostRefusal(f"someone is changing the host: {_holder(site.lock_file)}")
    # The commands of the work hold the lock, too: one may outlive us and go on changing the host.
    os.set_inheritable(fd, True)
    with os.fdopen(fd, "r+"):
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


def _holder(lock_file: str) -> str:
    """The holder of the lock, from the text of the lock file."""
    found = read_json(Path(lock_file))
    try:
        return f"{found['who']}, {found['task']}, since {found['since']}"
    except LookupError:
        return "unknown"
