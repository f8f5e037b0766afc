"""Runs on the host, as root: cancel scheduled work while that is still possible."""

import contextlib
import os
import sqlite3
from dataclasses import asdict, replace
from typing import Any

from opstasks.maintenance.onhost.account import as_service
from opstasks.maintenance.onhost.claims import claims
from opstasks.maintenance.onhost.closing import (
    TROUBLE,
    cancel_item,
    close,
    prune,
    tidy_boot,
)
from opstasks.maintenance.onhost.lock import lock
from opstasks.maintenance.onhost.pause_change import write_note
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import (
    INTERRUPTED,
    SCHEDULED,
    UNPAUSE,
    ScheduledItem,
    is_obsolete,
    not_restored,
    pause_of,
    pause_path,
)
from opstasks.maintenance.onhost.restore import restore
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.store import boot_id, dead, read_items
from opstasks.maintenance.onhost.write import journal, write_item
from opstasks.onhost.journal_line import login_account
from opstasks.onhost.json_files import read_json
from opstasks.onhost.protocol import HostFailure, HostRefusal

# How long a dismissal waits for a change that holds the host's lock.
LOCK_WAIT_S = 10.0


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Cancel one piece of work; its record has no outcome if something could not be restored.

    The request: ``site``, ``id`` ("" for the only one), and for the audit
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
        done = end(site, item, audit)
    except (HostRefusal, HostFailure) as error:
        outcome = "refused" if isinstance(error, HostRefusal) else "failed"
        journal(audit, "end", outcome, error.reason)
        raise
    outcome = "changed" if done.outcome else "failed"
    journal(audit, "end", outcome, f"{item.kind} {item.id} {done.outcome or not_restored(done)}")
    return {"changed": True, "item": asdict(done), "now": claims(site)}


def end(site: Site, item: ScheduledItem, audit: ScheduledItem) -> ScheduledItem:
    """Cancel work, and tidy up what it has begun or would have ended; returns the record."""
    reason = f"cancelled by {audit.who}"
    if item.step != SCHEDULED and item.boot_id == boot_id() and is_dead(site, item):
        done = dismiss(site, item, audit, reason)
    else:
        done = cancel_item(site, item, reason)
    # It is cancelled, even if the rest fails.
    with contextlib.suppress(*TROUBLE, sqlite3.Error):
        if item.kind == UNPAUSE:
            done = keep_paused(site, done)
        prune(site)
    tidy_boot(site)
    return done


def is_dead(site: Site, item: ScheduledItem) -> bool:
    """Whether a preparation was killed: it will never end itself."""
    return item.id in [each.id for each in dead(site)]


def dismiss(site: Site, item: ScheduledItem, audit: ScheduledItem, reason: str) -> ScheduledItem:
    """Restore what a preparation that was killed has left behind; returns the record.

    As long as something is left, the record has no outcome: then this can be repeated, and others
    see it. Raises HostRefusal while somebody changes the host.
    """
    with lock(site, audit, LOCK_WAIT_S):
        left = tuple(restore(site, item))
        done = write_item(site, item.id, left=left)
        return done if left else close(site, done, INTERRUPTED, f"at {item.step!r}; {reason}")


def choose(site: Site, id: str) -> tuple[ScheduledItem | None, bool]:
    """The item with an id, and whether it is over; None when nothing is scheduled.

    Without an id, an end whose pause is over already counts only if there is nothing else. Raises
    HostRefusal for an unknown id, and without an id when there are several.
    """
    items = read_items(site.lock_dir)
    # The client has found the whole id. After a reboot, another piece of work may begin with it.
    meant = [item for item in items if item.id == id or not id]
    ahead = [item for item in meant if not item.outcome]
    if not id:
        note = pause_of(as_service(site, lambda: read_json(pause_path(site.state_dir))))
        ahead = [item for item in ahead if not is_obsolete(item, note)] or ahead[:1]
    if len(ahead) > 1:
        names = ", ".join(item.id for item in ahead)
        raise HostRefusal(f"several are scheduled: {names}")
    if ahead or not id:
        return (ahead[0] if ahead else None), False
    if not meant:
        raise HostRefusal(f"no scheduled work has the id {id}")
    return meant[0], True


def keep_paused(site: Site, item: ScheduledItem) -> ScheduledItem:
    """Note that the pause has no end any more, because its end was cancelled."""
    note = pause_note(site, paused_at(site))
    if note is None or note.id != item.id:
        return item
    write_note(site, replace(note, until_at=0.0, id=""))
    return write_item(site, item.id, reason=f"{item.reason}; the host stays paused until `unpause`")
