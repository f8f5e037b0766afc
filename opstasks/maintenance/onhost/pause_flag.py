"""Runs on the host: job-runner's flag `paused`, and our note on it.

Pausing is job-runner's own flag, set with its own command. Our note is the service account's file.
"""

import sqlite3

from opstasks.maintenance.onhost.account import as_service
from opstasks.maintenance.onhost.query import query
from opstasks.maintenance.onhost.records import Pause, pause_of, pause_path
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.database_values import seconds
from opstasks.onhost.json_files import read_json
from opstasks.onhost.protocol import HostFailure, HostRefusal


def paused_at(site: Site) -> float:
    """When job-runner's flag `paused` was set (seconds since the epoch); 0 while it is not."""
    try:
        rows = query(site, "SELECT value, timestamp FROM flags WHERE id = 'paused'")
    except (HostFailure, sqlite3.OperationalError) as error:
        if "no such table" in str(error):
            return 0.0
        raise
    # The values that job-runner itself treats as true.
    paused = [row for row in rows if str(row[0]).lower() == "true"]
    return seconds(paused[0][1]) or 1.0 if paused else 0.0


def pause_note(site: Site, flag_at: float) -> Pause | None:
    """Our note on the present pause; None for a pause made by hand."""
    path = pause_path(site.state_dir)
    note = pause_of(as_service(site, lambda: read_json(path)))
    return note if note.is_of(flag_at) else None


def check_seen(before: Pause | None, seen_at: float) -> None:
    """Raise HostRefusal if somebody has paused or unpaused since the person looked.

    `seen_at` is the time of the flag that the person saw, 0 for none.
    """
    now_at = before.flag_at if before else 0.0
    if abs(now_at - seen_at) < 1:
        return
    words = f"paused by {before.who or 'hand'}" if before else "not paused any more"
    raise HostRefusal(f"the pause has changed since you looked: it is {words}")
