"""Runs on the host: job-runner's flag `paused`, and our note on it.

Pausing is job-runner's own flag, set with its own command. Our note is the service account's file.
"""

import sqlite3
import time
from dataclasses import asdict, replace

from opstasks.maintenance.onhost.account import as_service, job_runner
from opstasks.maintenance.onhost.database import query
from opstasks.maintenance.onhost.records import Pause, pause_of, pause_path
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.store import boot_id
from opstasks.onhost.json_files import read_json, write_json
from opstasks.onhost.protocol import HostFailure

# job-runner's own command needs a moment to start and to set its flag.
SETTLING_S = 30


def paused_at(site: Site) -> float:
    """When job-runner's flag `paused` was set (seconds since the epoch); 0 while it is not."""
    try:
        rows = query(site, "SELECT value, timestamp FROM flags WHERE id = 'paused'")
    except (HostFailure, sqlite3.OperationalError) as error:
        if "no such table" in str(error):
            return 0.0
        raise
    # What job-runner itself takes as true.
    paused = [row for row in rows if str(row[0]).lower() == "true"]
    return float(paused[0][1] or 1) if paused else 0.0


def pause_note(site: Site, flag_at: float) -> Pause | None:
    """Our note on the pause that the flag stands for; None for a pause made by hand."""
    path = pause_path(site.state_dir)
    note = pause_of(as_service(site, lambda: read_json(path)))
    return note if note.is_of(flag_at) else None


def set_pause(site: Site, pause: Pause) -> Pause:
    """Pause with job-runner's own command, verify that it holds, and write the note.

    `since_at` 0 means from now on. Returns the note; raises HostFailure or OSError, and then the
    host is not paused unless it was before.
    """
    before = paused_at(site)
    note = replace(pause, since_at=pause.since_at or time.time(), boot_id=boot_id())
    if not before:
        # The note is written before the flag is set: after a power cut in between, too, it is known
        # who paused.
        write_note(site, replace(note, flag_at=note.since_at, settling_s=SETTLING_S))
    job_runner(site, "jobrunner.cli.flags", "set", "--create", "paused=true")
    flag_at = paused_at(site)
    if not flag_at:
        raise HostFailure("job-runner's flag is not set, though its command succeeded")
    note = replace(note, since_at=pause.since_at or flag_at, flag_at=flag_at)
    try:
        write_note(site, note)
    except (HostFailure, OSError):
        # Without its note the pause would never be ended.
        if not before:
            clear_pause(site)
        raise
    return note


def write_note(site: Site, note: Pause) -> None:
    """Write the note on a pause, as the service account."""
    path = pause_path(site.state_dir)

    def write() -> bool:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_json(path, asdict(note), 0o640)
        return True

    as_service(site, write)


def clear_pause(site: Site) -> None:
    """Unpause with job-runner's own command, and verify that it holds. Raises HostFailure."""
    job_runner(site, "jobrunner.cli.flags", "set", "--create", "paused=")
    if paused_at(site):
        raise HostFailure("job-runner's flag is still set, though its command succeeded")
    path = pause_path(site.state_dir)

    def remove() -> bool:
        path.unlink(missing_ok=True)
        return True

    as_service(site, remove)
