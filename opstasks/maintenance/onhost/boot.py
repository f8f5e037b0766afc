"""Runs on the host: once after a boot, end the pause that the reboot needed, or keep its time."""

import contextlib
import time
from typing import Any

from opstasks.maintenance.onhost.account import Site
from opstasks.maintenance.onhost.arm import op_arm
from opstasks.maintenance.onhost.install import forget_boot
from opstasks.maintenance.onhost.item import (
    PREPARE,
    SEEN_S,
    UNPAUSE,
    Record,
    boot_id,
    journal,
    read_record,
    records,
    write_record,
)
from opstasks.maintenance.onhost.lock import lock
from opstasks.maintenance.onhost.pause import clear_pause, flag, pause_note, set_pause
from opstasks.onhost.commands import StepError


def op_boot(request: dict[str, Any], script: str) -> dict[str, Any]:
    """Run once after a boot: end the pause of a preparation, or keep time for one that ends."""
    site = request["site"]
    since = flag(site)
    note = pause_note(site, since)
    # The pause counts for more than what is noted of it.
    with contextlib.suppress(OSError):
        note_boot(site, paused=bool(since))
    done = "nothing was paused by us"
    if note and note.get("boot_id") != boot_id():
        done = after_boot(site, note, script)
    still_to_come = note and (note.get("boot_id") == boot_id() or note.get("until"))
    if done == "unpaused" or not still_to_come:
        forget_boot(site)
    return {"done": done}


def note_boot(site: Site, *, paused: bool) -> None:
    """Note in the newest preparation which boot it was for, so that no later one counts as its own.

    One whose pause somebody had ended was given up before.
    """
    ready = [r for r in records(site) if r.get("kind") == PREPARE and r.get("outcome") == "ready"]
    if not ready or ready[0].get("next_boot") or ready[0].get("boot_id") == boot_id():
        return
    given_up = ready[0].get("paused_by_us") and not paused
    write_record(site, str(ready[0]["id"]), next_boot="none" if given_up else boot_id())


def after_boot(site: Site, note: dict[str, Any], script: str) -> str:
    """What becomes of a pause that a reboot came upon."""
    until = float(note.get("until") or 0)
    if note.get("task") == PREPARE and note.get("keep"):
        return "stays paused, as was asked"
    entry = {
        "id": str(note.get("id") or "boot"),
        "host": site["host"],
        "kind": UNPAUSE,
        "who": str(note.get("who")),
        "why": "after the reboot",
    }
    if note.get("task") != PREPARE and (not until or until > time.time() + SEEN_S):
        return keep_time(site, note, until, entry, script) if until else "stays paused"
    journal(entry, "start")
    try:
        with lock(site, entry, 600):
            clear_pause(site)
    except StepError as error:
        journal(entry, "end", "failed", error.reason)
        raise
    journal(entry, "end", "changed", "unpaused by the boot")
    return "unpaused"


def keep_time(site: Site, note: dict[str, Any], until: float, entry: Record, script: str) -> str:
    """Arm the end of a pause anew: the reboot took its timer."""
    gone = str(note["id"])
    if read_record(site, gone):
        write_record(site, gone, outcome="dropped", reason="by a reboot, which armed it anew")
    id = gone + "b"
    record = {**entry, "id": id, "due": int(until), "timed": True, "lock_wait_s": 600}
    record |= {"delay_s": 0, "reboot": False, "why": str(note.get("why"))}
    op_arm({"site": site, "record": record, "replace": False}, script)
    words = {name: note[name] for name in ("who", "why", "until", "task", "since") if name in note}
    set_pause(site, **words, id=id)
    return "the end of the pause is armed anew"
