"""Runs on the host: pause and unpause, and whose pause it is.

A pause is job-runner's own flag; ``state_dir/pause.json``, the service account's, says who and why.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any

from opstasks.maintenance.onhost.account import Site, as_service, job_runner
from opstasks.maintenance.onhost.database import query
from opstasks.maintenance.onhost.item import boot_id
from opstasks.onhost.commands import StepError
from opstasks.onhost.json_files import read_json, write_json

# job-runner's own command needs a moment to start and to set its flag.
SETTLING_S = 30


def pause_path(site: Site) -> Path:
    """Who paused, why, since when, until when."""
    return Path(site["state_dir"], "pause.json")


def flag(site: Site) -> float:
    """When job-runner's own flag `paused` was set; 0 while it is not."""
    try:
        rows = query(site, "SELECT value, timestamp FROM flags WHERE id = 'paused'")
    except StepError as error:
        if "no such table" in error.reason:
            return 0.0
        raise
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return 0.0
        raise
    # What job-runner itself takes as true.
    paused = [row for row in rows if str(row[0]).lower() == "true"]
    return float(paused[0][1] or 1) if paused else 0.0


def pause_note(site: Site, since: float) -> dict[str, Any]:
    """Our note on the pause that the flag stands for; empty for a pause made by hand."""
    note: dict[str, Any] = as_service(site, lambda: read_json(pause_path(site)))
    try:
        later = since - float(note.get("flag_time", 0))
        ours = since and -1 < later < 1 + float(note.get("settling_s", 0))
    except (TypeError, ValueError):
        return {}
    return note if ours else {}


def set_pause(site: Site, **words: Any) -> dict[str, Any]:
    """Pause with job-runner's own command, see that it holds, and note whose it is."""
    before = flag(site)
    note = {"since": time.time(), **words, "boot_id": boot_id()}
    if not before:
        # Whose it is stands there before it holds: after a power cut in between, too.
        write_note(site, note | {"flag_time": note["since"], "settling_s": SETTLING_S})
    job_runner(site, "jobrunner.cli.flags", "set", "--create", "paused=true")
    since = flag(site)
    if not since:
        raise StepError("job-runner's flag does not hold")
    note |= {"since": words.get("since", since), "flag_time": since}
    try:
        write_note(site, note)
    except (StepError, OSError):
        # Nobody would know whose pause it is, nor end it.
        if not before:
            clear_pause(site)
        raise
    return note


def write_note(site: Site, note: dict[str, Any]) -> None:
    """Note whose a pause is, as the service account."""

    def write() -> bool:
        pause_path(site).parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_json(pause_path(site), note, 0o640)
        return True

    as_service(site, write)


def clear_pause(site: Site) -> None:
    """Unpause with job-runner's own command, and see that it holds."""
    job_runner(site, "jobrunner.cli.flags", "set", "--create", "paused=")
    if flag(site):
        raise StepError("job-runner's flag does not go away")

    def remove() -> bool:
        pause_path(site).unlink(missing_ok=True)
        return True

    as_service(site, remove)


def op_pause(request: dict[str, Any]) -> dict[str, Any]:
    """Pause; when it is paused already, only what is asked anew changes."""
    site = request["site"]
    since = flag(site)
    before = pause_note(site, since)
    asked = {name: request[name] for name in ("why", "until", "id") if request.get(name)}
    if since and not asked and before:
        return {"changed": False, "pause": before}
    words = {"who": request["who"], "task": "pause", "why": "", "until": 0, "id": ""}
    words |= {name: before[name] for name in ("why", "until", "id", "who") if name in before}
    return {"changed": True, "pause": set_pause(site, **(words | asked))}


def op_unpause(request: dict[str, Any]) -> dict[str, Any]:
    """Unpause, whoever paused."""
    site = request["site"]
    since = flag(site)
    before = pause_note(site, since)
    if since:
        clear_pause(site)
    return {"changed": bool(since), "pause": before, "since": since}
