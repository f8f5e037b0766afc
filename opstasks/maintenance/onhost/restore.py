"""Runs on the host, as root: the state before a preparation that failed or was killed."""

import contextlib
import sqlite3
import time

from opstasks.maintenance.onhost.closing import tidy_boot
from opstasks.maintenance.onhost.pause_change import clear_pause
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import CANCELLABLE, ScheduledItem
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.units import is_down, is_up, start_unit
from opstasks.onhost.limits import MAX_LINE
from opstasks.onhost.protocol import HostFailure, HostRefusal, error_text

SETTLE_S = 3.0
# What reading or changing the service or the pause may raise.
ERRORS = (HostRefusal, HostFailure, OSError, sqlite3.Error)


def restore(site: Site, item: ScheduledItem) -> list[str]:
    """Start the service and end the pause, if the preparation changed them: jobs begin again.

    Returns what could not be restored. Each of these is needed even if the others fail.
    """
    found = [start_again(site, item), end_own_pause(site, item)]
    left = [text[:MAX_LINE] for text in found if text]
    if not left:  # otherwise the next boot ends the pause
        tidy_boot(site, but=item.id)
    return left


def start_again(site: Site, item: ScheduledItem) -> str:
    """Start the service if the preparation stopped it; why it is not up, "" if it is."""
    unit = site.unit
    if not item.was_active or item.step in CANCELLABLE:
        return ""
    try:
        if not is_down(unit):
            return ""
    except ERRORS as error:
        return f"whether {unit} is up is not known: {error_text(error)}"
    try:
        start_unit(unit, site.service_user)
    except ERRORS as error:
        return f"{unit} was not started: {error_text(error)}"
    # A service that fails right after its start is restarted again and again.
    time.sleep(SETTLE_S)
    try:
        return "" if is_up(unit) else f"{unit} does not stay up"
    except ERRORS as error:
        return f"whether {unit} stays up is not known: {error_text(error)}"


def still_prepared(site: Site, item: ScheduledItem) -> list[str]:
    """What a preparation changed and nobody has changed back; nothing is changed here."""
    left = []
    with contextlib.suppress(*ERRORS):
        if item.was_active and is_down(site.unit):
            left.append(f"{site.unit} is stopped")
    with contextlib.suppress(*ERRORS):
        if item.paused_by_us and holds_pause(site, item):
            left.append("it is still paused")
    return left


def end_own_pause(site: Site, item: ScheduledItem) -> str:
    """End the pause if it is the preparation's; why it may be paused still, "" if it is not."""
    if not item.paused_by_us:
        return ""
    try:
        if not holds_pause(site, item):
            return ""
        with contextlib.suppress(*ERRORS):
            clear_pause(site)
        return "it is still paused" if holds_pause(site, item) else ""
    except ERRORS as error:
        return f"whether it is paused is not known: {error_text(error)}"


def holds_pause(site: Site, item: ScheduledItem) -> bool:
    """Whether the host is paused by this preparation. Raises HostFailure, sqlite3.Error."""
    note = pause_note(site, paused_at(site))
    return bool(note and note.id == item.id)
