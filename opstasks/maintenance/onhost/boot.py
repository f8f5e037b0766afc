"""Runs on the host, as root, once after a boot: end the pause of a preparation."""

import contextlib
import os
import time
from dataclasses import replace
from typing import Any

from opstasks.maintenance.onhost import end_pause
from opstasks.maintenance.onhost.boot_unit import add_boot_unit, remove_boot_unit
from opstasks.maintenance.onhost.install import install, remove_script
from opstasks.maintenance.onhost.lock import lock
from opstasks.maintenance.onhost.pause_change import clear_pause, set_pause
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import (
    BOOT_ID,
    DROPPED,
    ID,
    NO_BOOT,
    PREPARE,
    READY,
    UNPAUSE,
    Pause,
    ScheduledItem,
    ready_for,
)
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.store import boot_id, read_item, read_items
from opstasks.maintenance.onhost.timers import dated, hand_over
from opstasks.maintenance.onhost.write import journal, write_item
from opstasks.onhost.protocol import HostFailure, HostRefusal
from opstasks.onhost.script import one_line

LOCK_WAIT_S = 600
# An end nearer than this is treated as due now.
SOON_S = 3


def add_boot(site: Site) -> None:
    """Make the next boot run this program."""
    about = "opstasks: run once after a boot, to end the pause of a reboot"
    add_boot_unit(site, install(site, BOOT_ID, __name__, {}, about))


def main(request: dict[str, Any]) -> dict[str, Any]:
    """End the pause of a preparation, or schedule the end of another pause again.

    The request: ``site``. The unit stays for the next boot as long as a pause needs it.
    """
    os.umask(0o022)
    site = site_of(request)
    flag_at = paused_at(site)
    note = pause_note(site, flag_at)
    # The pause is more important than its record.
    with contextlib.suppress(OSError):
        note_boot(site, paused=bool(flag_at))
    done = "it was not paused by opstasks"
    if note and note.boot_id != boot_id():
        done = after_boot(site, harmless(site, note))
    is_needed = note and (note.boot_id == boot_id() or note.until_at)
    if done == "unpaused" or not is_needed:
        remove_boot_unit(site)
    return {"done": done}


def harmless(site: Site, note: Pause) -> Pause:
    """The note without what root must not use: it is a file of the service account.

    The id names files of root's, so it must be an id of ours. The person who paused comes from
    root's own record, because the line in the journal is root's.
    """
    # The id of work that is scheduled again is one character longer.
    id = note.id if ID.fullmatch(f"{note.id}b") else ""
    recorded = read_item(site.lock_dir, id).who if id else ""
    return replace(
        note,
        id=id,
        who=recorded or f"{site.service_user} ({one_line(note.who)})",
        why=one_line(note.why),
    )


def note_boot(site: Site, *, paused: bool) -> None:
    """Note in the newest preparation which boot it was for, so that no later boot claims it.

    If the host is not paused any more, the preparation was abandoned before the boot, as were those
    before it.
    """
    here = boot_id()
    earlier = [item for item in read_items(site.lock_dir) if item.boot_id != here]
    ready = ready_for(earlier, here)
    if ready is None or ready.next_boot:
        return
    is_given_up = ready.paused_by_us and not paused
    write_item(site, ready.id, next_boot=NO_BOOT if is_given_up else here)
    for item in earlier:
        if item.outcome == READY and not item.next_boot and item.id != ready.id:
            write_item(site, item.id, next_boot=NO_BOOT)


def after_boot(site: Site, note: Pause) -> str:
    """End or keep a pause, as the boot must; returns a description."""
    if note.task == PREPARE and note.keep:
        return "stays paused, as requested"
    item = ScheduledItem(
        id=note.id or BOOT_ID,
        host=site.host,
        kind=UNPAUSE,
        who=note.who,
        why="after the reboot",
    )
    if note.task != PREPARE and not note.until_at:
        return "stays paused"
    if note.task != PREPARE and note.until_at > time.time() + SOON_S:
        return schedule_anew(site, note, item)
    journal(item, "start")
    try:
        with lock(site, item, LOCK_WAIT_S):
            clear_pause(site)
    except (HostRefusal, HostFailure) as error:
        journal(item, "end", "failed", error.reason)
        raise
    journal(item, "end", "changed", "unpaused by the boot")
    return "unpaused"


def schedule_anew(site: Site, note: Pause, item: ScheduledItem) -> str:
    """Schedule the end of a pause again: the reboot removed its timer."""
    old = read_item(site.lock_dir, note.id) if note.id else ScheduledItem()
    # The note may name any record, but only the end of a pause that the reboot dropped is written.
    if old.kind == UNPAUSE and old.step and not old.outcome and old.boot_id != boot_id():
        reason = "by a reboot, which scheduled it again"
        write_item(site, note.id, outcome=DROPPED, reason=reason)
        remove_script(site, note.id)
    new = replace(
        item,
        id=f"{item.id}b",
        why=note.why,
        due_at=note.until_at,
        timed=True,
        lock_wait_s=float(LOCK_WAIT_S),
    )
    hand_over(site, dated(new), end_pause.__name__)
    set_pause(site, replace(note, id=new.id))
    return "the end of the pause is scheduled again"
