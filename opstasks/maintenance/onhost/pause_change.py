"""Runs on the host: pausing and unpausing, with the note on who paused and why."""

import contextlib
import time
from dataclasses import asdict, replace

from opstasks.maintenance.onhost.account import as_service
from opstasks.maintenance.onhost.closing import close_ends, tidy_boot
from opstasks.maintenance.onhost.job_runner import job_runner
from opstasks.maintenance.onhost.pause_flag import paused_at
from opstasks.maintenance.onhost.records import Pause, pause_path
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.store import boot_id
from opstasks.onhost.json_files import write_json
from opstasks.onhost.protocol import HostFailure

# job-runner's own command needs a moment to start and to set its flag.
SETTLING_S = 30


def set_pause(site: Site, pause: Pause) -> Pause:
    """Pause with job-runner's own command, verify the flag, and write the note.

    `since_at` 0 means from now on. Returns the note; raises HostFailure or OSError, and then the
    host is not paused unless it was before.
    """
    before = paused_at(site)
    since_at = pause.since_at or time.time()
    note = replace(pause, since_at=since_at, boot_id=boot_id(), settling_s=0.0)
    if not before:
        # The note is written before the flag is set, so that even after a power cut in between it
        # is known who paused.
        write_note(site, replace(note, flag_at=note.since_at, settling_s=SETTLING_S))
    job_runner(site, "jobrunner.cli.flags", "set", "--create", "paused=true")
    flag_at = paused_at(site)
    if not flag_at:
        raise HostFailure("job-runner's flag is not set, although its command succeeded")
    note = replace(note, since_at=pause.since_at or flag_at, flag_at=flag_at)
    try:
        write_note(site, note)
    except (HostFailure, OSError):
        # Without its note, the pause would never end.
        if not before:
            clear_pause(site)
        raise
    close_ends(site, note.id, "its pause was replaced")
    return note


def write_note(site: Site, note: Pause) -> None:
    """Write the note on a pause, as the service account."""
    path = pause_path(site.state_dir)

    def write() -> bool:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_json(path, asdict(note), 0o640)
        return True

    as_service(site, write)


def clear_pause(site: Site, keep: str = "") -> None:
    """Unpause with job-runner's own command, and verify the flag. Raises HostFailure.

    Nothing of the pause stays: its note and its scheduled end go too, except the end `keep`.
    """
    job_runner(site, "jobrunner.cli.flags", "set", "--create", "paused=")
    if paused_at(site):
        raise HostFailure("job-runner's flag is still set, although its command succeeded")
    path = pause_path(site.state_dir)

    def remove() -> bool:
        path.unlink(missing_ok=True)
        return True

    # A note without its flag counts for nothing.
    with contextlib.suppress(HostFailure, OSError):
        as_service(site, remove)
    close_ends(site, keep, "its pause was ended before")
    tidy_boot(site)
