"""Runs on the host, as root, from a timer: end a pause at its time."""

import os
from typing import Any

from opstasks.maintenance.onhost.pause_change import clear_pause
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import DONE, ScheduledItem
from opstasks.maintenance.onhost.run import run_scheduled
from opstasks.maintenance.onhost.site import Site, site_of


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Do the scheduled work. The request: ``site``, ``id``."""
    os.umask(0o022)
    outcome, reason = run_scheduled(site_of(request), request["id"], end_pause)
    return {"outcome": outcome, "reason": reason}


def end_pause(site: Site, item: ScheduledItem) -> tuple[str, str]:
    """Unpause, if this item still ends the present pause; returns outcome and reason."""
    flag_at = paused_at(site)
    if not flag_at:
        return DONE, "it was not paused any more"
    note = pause_note(site, flag_at)
    if note is None or note.id != item.id:
        return DONE, "someone else has paused since then; left paused"
    clear_pause(site, keep=item.id)
    return DONE, "unpaused"
