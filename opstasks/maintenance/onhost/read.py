"""Runs on the host, as any account: every record, the note on a pause, the state of our units."""

import contextlib
import sqlite3
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opstasks.maintenance.onhost.account import as_service
from opstasks.maintenance.onhost.pause_flag import paused_at
from opstasks.maintenance.onhost.records import NO_DATABASE, pause_of, pause_path
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.store import again, boot_id, read_items
from opstasks.maintenance.onhost.units import unit_states
from opstasks.maintenance.onhost.unreadable import unreadable
from opstasks.onhost.json_files import read_json
from opstasks.onhost.protocol import HostFailure


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Read everything. The request: ``site``, ``with_flag`` (read job-runner's flag too)."""
    site = site_of(request)
    items = read_items(site.lock_dir)
    states = unit_states([name for item in items if not item.outcome for name in item.units])
    # Read again after the units: work that has ended in between has written its outcome.
    items = [i if i.outcome else again(site.lock_dir, i) for i in items]
    note = note_file(site)
    flag_at, flag_error = flag(site) if request["with_flag"] else (0.0, "")
    return {
        "now_at": time.time(),
        "boot_id": boot_id(),
        "items": [asdict(item) for item in items],
        "note": asdict(pause_of(note)) if note else None,
        "flag_at": flag_at,
        "flag_error": flag_error,
        "units": states,
        "unreadable": unreadable(site.lock_dir),
    }


def note_file(site: Site) -> dict[str, Any]:
    """The note on a pause, read as its owner, the service account: it may be a link."""
    path = pause_path(site.state_dir)
    found: dict[str, Any] = {}
    with contextlib.suppress(HostFailure):
        found = as_service(site, lambda: read_json(path))
    return found


def flag(site: Site) -> tuple[float, str]:
    """When job-runner was paused, 0 while it is not; or why the flag cannot be read."""
    try:
        return paused_at(site), ""
    except (HostFailure, sqlite3.Error) as error:
        is_there = False
        with contextlib.suppress(HostFailure):
            is_there = as_service(site, lambda: Path(site.database).exists())
        return 0.0, str(error) if is_there else NO_DATABASE
