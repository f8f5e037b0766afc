"""Runs on the host, as root: the state before a preparation that failed or was killed."""

import sqlite3
import time

from opstasks.maintenance.onhost.closing import tidy_boot
from opstasks.maintenance.onhost.pause_change import clear_pause
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import CANCELLABLE, ScheduledItem
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.units import is_down, is_up, start_unit
from opstasks.onhost.protocol import HostFailure

SETTLE_S = 3.0


def restore(site: Site, item: ScheduledItem) -> list[str]:
    """Start the service and end the pause, if the preparation changed them: jobs begin again.

    Returns what could not be restored. Each of these is needed even if the others fail.
    """
    left = []
    try:
        if item.was_active and item.step not in CANCELLABLE and is_down(site.unit):
            start_unit(site.unit)
            # A service that fails right after its start is restarted again and again.
            time.sleep(SETTLE_S)
            left += [] if is_up(site.unit) else [f"{site.unit} does not stay up"]
    except (HostFailure, OSError):
        left.append(f"{site.unit} does not start")
    try:
        note = pause_note(site, paused_at(site))
        if item.paused_by_us and note and note.id == item.id:
            clear_pause(site)
    except (HostFailure, OSError, sqlite3.Error):
        left.append("it is still paused")
    tidy_boot(site, but=item.id)
    return left
