"""Runs on the host, as root: cancel scheduled work while that is still possible."""

import contextlib
import os
import sqlite3
import time
from dataclasses import asdict, replace
from typing import Any

from opstasks.maintenance.onhost.install import remove_script
from opstasks.maintenance.onhost.pause_change import write_note
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import (
    CANCELLABLE,
    CANCELLED,
    INTERRUPTED,
    UNPAUSE,
    ScheduledItem,
)
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.store import boot_id, item_path, read_item, read_items
from opstasks.maintenance.onhost.units import SYSTEMCTL, is_down
from opstasks.maintenance.onhost.write import journal, write_item
from opstasks.onhost.commands import call
from opstasks.onhost.journal_line import login_account
from opstasks.onhost.protocol import HostFailure, HostRefusal

KEEP_RECORDS = 50


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Cancel one piece of work.

    The request: ``site``, ``id`` (or its beginning, or "" for the only one), and for the audit
    ``run_id``, ``who``, ``why``.
    """
    os.umask(0o022)
    site = site_of(request)
    item, is_over = choose(site, request["id"])
    if item is None or is_over:
        return {"changed": False, "item": asdict(item) if item else None}
    who = request["who"]
    audit = replace(
        item,
        id=request["run_id"],
        who=who,
        login=login_account(),
        why=request["why"],
        kind="scheduled.cancel",
    )
    journal(audit, "start")
    try:
        done = cancel_item(site, item, f"cancelled by {who}")
    except (HostRefusal, HostFailure) as error:
        outcome = "refused" if isinstance(error, HostRefusal) else "failed"
        journal(audit, "end", outcome, error.reason)
        raise
    if item.kind == UNPAUSE:
        # It is cancelled, even if the note on the pause cannot be changed.
        with contextlib.suppress(HostFailure, OSError, sqlite3.Error):
            done = keep_paused(site, done)
    journal(audit, "end", "changed", f"{item.kind} {item.id} {done.outcome}")
    return {"changed": True, "item": asdict(done)}


def choose(site: Site, id: str) -> tuple[ScheduledItem | None, bool]:
    """The item with an id, and whether it is over; None when nothing is scheduled.

    Raises HostRefusal for an unknown id, and without an id when there are several.
    """
    items = read_items(site.lock_dir)
    ahead = [i for i in items if not i.outcome and i.id.startswith(id)]
    if len(ahead) > 1:
        names = ", ".join(item.id for item in ahead)
        raise HostRefusal(f"several are scheduled: {names}")
    if ahead or not id:
        return (ahead[0] if ahead else None), False
    over = [i for i in items if i.id.startswith(id)]
    if not over:
        raise HostRefusal(f"no scheduled work has the id {id}")
    return over[0], True


def keep_paused(site: Site, item: ScheduledItem) -> ScheduledItem:
    """Note that the pause has no end any more, because its end was cancelled."""
    note = pause_note(site, paused_at(site))
    if note is None or note.id != item.id:
        return item
    write_note(site, replace(note, until_at=0.0, id=""))
    return write_item(site, item.id, reason=f"{item.reason}; the host stays paused until `unpause`")


def cancel_item(site: Site, item: ScheduledItem, reason: str) -> ScheduledItem:
    """Stop the timer, then the work if it has just started; returns the record.

    Raises HostRefusal after the point of no return.
    """
    if item.boot_id != boot_id():
        outcome = item.fate_of_reboot
        return write_item(site, item.id, outcome=outcome, reason=f"by a reboot; {reason}")
    call(SYSTEMCTL, "stop", f"{item.unit}.timer", timeout=60)
    now = read_item(site.lock_dir, item.id)
    if now.step not in CANCELLABLE:
        if not now.outcome and is_down(f"{item.unit}.service"):
            # It ended without an outcome: a full disk, a kill. There is nothing to stop.
            reason = f"at {now.step!r}; {reason}"
            return _close(site, item, INTERRUPTED, reason)
        raise HostRefusal(f"too late: it is at {now.step!r}")
    # Now the program ends itself, or is past that point and runs to its end.
    call(SYSTEMCTL, "stop", f"{item.unit}.service", timeout=240)
    now = read_item(site.lock_dir, item.id)
    if now.outcome not in ("", CANCELLED):
        raise HostRefusal(f"too late: it ended {now.outcome!r}")
    prune(site)
    return _close(site, item, CANCELLED, reason)


def _close(site: Site, item: ScheduledItem, outcome: str, reason: str) -> ScheduledItem:
    return write_item(site, item.id, outcome=outcome, reason=reason, finished_at=time.time())


def prune(site: Site) -> None:
    """Remove the oldest finished records, and the scripts of all finished ones."""
    over = [item for item in read_items(site.lock_dir) if item.outcome]
    for item in over:
        remove_script(site, item.id)
    for item in over[KEEP_RECORDS:]:
        item_path(site.lock_dir, item.id).unlink(missing_ok=True)
