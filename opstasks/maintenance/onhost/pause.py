"""Runs on the host: pause new jobs; as root if the pause gets an end, or loses one.

Otherwise the service account may do it: the end of a pause is a timer, which is root's.
"""

import contextlib
import os
import sqlite3
from dataclasses import asdict, replace
from typing import Any

# The program that runs later; it is imported so that it is sent along and can be installed.
from opstasks.maintenance.onhost import end_pause
from opstasks.maintenance.onhost.boot import add_boot
from opstasks.maintenance.onhost.claims import claims
from opstasks.maintenance.onhost.closing import TROUBLE, cancel_item, tidy_boot
from opstasks.maintenance.onhost.folders import check_pause
from opstasks.maintenance.onhost.pause_change import set_pause
from opstasks.maintenance.onhost.pause_flag import check_seen, pause_note, paused_at
from opstasks.maintenance.onhost.records import Pause, ScheduledItem, current_pause, item_of
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.timers import dated, hand_over
from opstasks.onhost.journal_line import login_account


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Pause, or change the pause that the person saw.

    The request: ``site``, ``who``, ``why``, ``seen_at`` (the time of the flag that the person saw,
    0 for none), ``replace`` (that pause by a new one), ``end`` (the record of the work that ends
    it, or None). Raises HostRefusal if the present pause is another one, or cannot be written.
    """
    os.umask(0o022)
    site = site_of(request)
    flag_at = paused_at(site)
    before = current_pause(flag_at, pause_note(site, flag_at))
    check_seen(before, request["seen_at"])
    check_pause(site, has_end=bool(request["end"]))
    # What the request does not name is kept, unless the pause is replaced.
    kept = None if request["replace"] else before
    pause = kept or Pause(who=request["who"], task="pause")
    pause = replace(pause, why=request["why"] or pause.why)
    if not request["end"]:
        return answer(site, set_pause(site, pause))
    end = replace(item_of(request["end"]), login=login_account(), why=pause.why)
    return answer(site, pause_until(site, pause, end))


def answer(site: Site, pause: Pause) -> dict[str, Any]:
    """The present pause, and the state of the host."""
    return {"changed": True, "pause": asdict(pause), "now": claims(site)}


def pause_until(site: Site, pause: Pause, end: ScheduledItem) -> Pause:
    """Pause with an end, which is scheduled first: a timer without its pause does nothing.

    If pausing fails, the end is cancelled again.
    """
    end = dated(end)
    try:
        add_boot(site)
        hand_over(site, end, end_pause.__name__)
        return set_pause(site, replace(pause, until_at=end.due_at, id=end.id))
    except (*TROUBLE, sqlite3.Error):
        with contextlib.suppress(*TROUBLE):
            cancel_item(site, end, "the host could not be paused")
        tidy_boot(site)
        raise
