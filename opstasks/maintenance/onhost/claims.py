"""Runs on the host: the state that a result claims, read after the last action."""

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any

from opstasks.maintenance.onhost.database import running_jobs
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import PREPARE, ScheduledItem
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.store import boot_id, newest_ready, pending
from opstasks.maintenance.onhost.units import is_down, read_unit
from opstasks.onhost.protocol import HostFailure, HostRefusal


def main(request: dict[str, Any]) -> dict[str, Any]:
    """The present state. The request: ``site``."""
    return {"now": claims(site_of(request))}


def claims(site: Site) -> dict[str, Any]:
    """What could be read of the host's state; what could not is left out."""
    readers: dict[str, Callable[[], Any]] = {
        "service": lambda: read_unit(site.unit).claim,
        "paused": lambda: bool(paused_at(site)),
        "prepared": lambda: prepared_by(site) is not None,
        "scheduled": lambda: [item.id for item in pending(site)],
        "boot_id": boot_id,
    }
    found = {}
    for name, read in readers.items():
        with contextlib.suppress(HostFailure, HostRefusal, OSError, sqlite3.Error):
            found[name] = read()
    return found


def prepared_by(site: Site) -> ScheduledItem | None:
    """The preparation of this boot that still holds; None if the host is not ready to reboot."""
    ready = newest_ready(site)
    if ready is None or ready.boot_id != boot_id() or not is_down(site.unit):
        return None
    flag_at = paused_at(site)
    note = pause_note(site, flag_at)
    is_held = bool(note and note.task == PREPARE) if ready.paused_by_us else bool(flag_at)
    return ready if is_held and not running_jobs(site) else None
