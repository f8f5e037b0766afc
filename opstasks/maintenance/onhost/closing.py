"""Runs on the host, as root: ending scheduled work, and removing what it leaves on the host."""

import contextlib
import os
import subprocess
import time
from typing import Any

from opstasks.maintenance.onhost.account import as_service
from opstasks.maintenance.onhost.boot_unit import remove_boot_unit
from opstasks.maintenance.onhost.install import remove_script
from opstasks.maintenance.onhost.records import (
    CANCELLABLE,
    CANCELLED,
    INTERRUPTED,
    PREPARE,
    READY,
    SCHEDULED,
    UNPAUSE,
    ScheduledItem,
    pause_path,
    records_dir,
)
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.store import boot_id, dead, item_path, read_item, read_items
from opstasks.maintenance.onhost.units import SYSTEMCTL, is_down
from opstasks.maintenance.onhost.write import write_item
from opstasks.onhost.commands import call
from opstasks.onhost.json_files import read_json
from opstasks.onhost.protocol import HostFailure, HostRefusal

KEEP_RECORDS = 50
# No write of a record takes so long.
WRITTEN_S = 3600
# What can go wrong while something is tidied away that does no harm if it stays.
TROUBLE = (HostRefusal, HostFailure, OSError, subprocess.SubprocessError)


def cancel_item(site: Site, item: ScheduledItem, reason: str) -> ScheduledItem:
    """Stop the timer, then the work if it has just started; returns the record.

    Raises HostRefusal after the point of no return.
    """
    if item.boot_id != boot_id():
        return close(site, item, item.fate_of_reboot, f"by a reboot; {reason}")
    call(SYSTEMCTL, "stop", f"{item.unit}.timer", timeout=60)
    now = read_item(site.lock_dir, item.id)
    if now.step not in CANCELLABLE:
        if not now.outcome and is_down(f"{item.unit}.service"):
            # It ended without an outcome: a full disk, a kill. There is nothing to stop.
            return close(site, item, INTERRUPTED, f"at {now.step!r}; {reason}")
        raise HostRefusal(f"too late: it is at {now.step!r}")
    # Now the program ends itself, or is past that point and runs to its end.
    call(SYSTEMCTL, "stop", f"{item.unit}.service", timeout=240)
    now = read_item(site.lock_dir, item.id)
    if now.outcome not in ("", CANCELLED):
        raise HostRefusal(f"too late: it ended {now.outcome!r}")
    return close(site, item, CANCELLED, reason)


def close(site: Site, item: ScheduledItem, outcome: str, reason: str) -> ScheduledItem:
    """Write the end of work into its record, and remove its script."""
    closed = write_item(site, item.id, outcome=outcome, reason=reason, finished_at=time.time())
    remove_script(site, item.id)
    return closed


def prune(site: Site) -> None:
    """Remove the oldest finished records, scripts of finished ones, and parts of records."""
    over = [item for item in read_items(site.lock_dir) if item.outcome]
    for item in over:
        remove_script(site, item.id)
    for item in over[KEEP_RECORDS:]:
        item_path(site.lock_dir, item.id).unlink(missing_ok=True)
    for path in records_dir(site.lock_dir).glob("*.json.new"):
        # A write that was killed has left it; one that is under way has made it just now.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > WRITTEN_S:
                path.unlink()


def close_dead(site: Site, successor: str) -> None:
    """Close the preparations that nothing will ever end; a new one takes their place.

    Those that were killed have changed the host: the new one goes on where they were.
    """
    _close(site, dead(site), successor)


def close_dropped(site: Site, successor: str) -> None:
    """Close those of them that never began. A cancel can still undo the others."""
    _close(site, [item for item in dead(site) if item.step == SCHEDULED], successor)


def _close(site: Site, items: list[ScheduledItem], successor: str) -> None:
    for item in items:
        if item.id != successor:
            reason = f"at {item.step!r}; {successor} took its place"
            close(site, item, item.fate_of_reboot, reason)


def close_ends(site: Site, keep: str, reason: str) -> None:
    """Cancel the scheduled ends of pauses, except `keep`: they have nothing to end any more.

    Only root can do that; without it, such an end does nothing at its time.
    """
    if not os.access(records_dir(site.lock_dir), os.W_OK):
        return
    for item in read_items(site.lock_dir):
        if item.kind == UNPAUSE and not item.outcome and item.id != keep:
            with contextlib.suppress(*TROUBLE):
                cancel_item(site, item, reason)


def tidy_boot(site: Site, but: str = "") -> None:
    """Remove the boot's unit, unless a pause with an end needs it, or a preparation besides `but`.

    A preparation needs it even after an unpause: the boot notes that it was abandoned.
    """
    if not os.access(records_dir(site.lock_dir), os.W_OK):
        return
    here = boot_id()
    made = [i for i in read_items(site.lock_dir) if i.kind == PREPARE and i.boot_id == here]
    begun = [item for item in made if item.step != SCHEDULED and item.id != but]
    if any(item.outcome in ("", READY) for item in begun):
        return
    with contextlib.suppress(*TROUBLE):
        path = pause_path(site.state_dir)
        note: dict[str, Any] = as_service(site, lambda: read_json(path))
        if not note.get("until_at"):
            remove_boot_unit(site)
