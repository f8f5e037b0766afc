"""The records of scheduled work and pauses; the host's programs and the client share this.

Under ``lock_dir``, which is root's: ``scheduled/ID.json``, one record for each piece of work, which
the service account may read; ``scripts/ID/run.py``, the program that will run, for root alone. In
``state_dir``, which is the service account's: ``pause.json``, who paused, why and until when.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from opstasks.maintenance.onhost.site import RECORDS, SCRIPTS, Site
from opstasks.onhost.limits import check, is_within
from opstasks.onhost.protocol import HostRefusal
from opstasks.onhost.run_ids import RUN_ID
from opstasks.onhost.script import one_line

PREPARE, UNPAUSE = "prepare-reboot", "unpause"
# The steps of a record: before STOPPING, a cancel can undo everything.
SCHEDULED, WAITING, DRAINING, STOPPING = "scheduled", "waiting", "draining", "stopping"
CANCELLABLE = (SCHEDULED, WAITING, DRAINING)
# The outcomes of a record.
READY, DONE, REFUSED, FAILED, CANCELLED = "ready", "done", "refused", "failed", "cancelled"
# The states of work without an outcome after a reboot, or after its unit was lost.
DROPPED, INTERRUPTED = "dropped", "interrupted"
# The states of work without an outcome, besides SCHEDULED and those above.
RUNNING, TIMER_LOST = "running", "timer lost"
# The end of a pause that was ended or replaced.
OBSOLETE = "obsolete"
# `next_boot` of a preparation that was abandoned before its reboot.
NO_BOOT = "none"
# The boot's program is stored like those of scheduled work, under this id.
BOOT_ID = "boot"
# Why the flag of a host that was never set up cannot be read.
NO_DATABASE = "the database does not exist"

# An id is the id of a run; the boot adds a "b" when it schedules the work again.
ID = re.compile(rf"(?:{BOOT_ID}|{RUN_ID})b{{0,20}}")


@dataclass(frozen=True)
class ItemStep:
    """What a piece of work did, and when (seconds since the epoch)."""

    at: float = 0.0
    text: str = ""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ScheduledItem:
    """One piece of scheduled work, as in its record; raises ValueError for invalid values.

    `*_at` are seconds since the epoch, 0 for "not yet"; `*_s` are seconds. `due_there` is `due_at`
    in the host's zone; `timed` is False for work that began at once. `outcome` is "" until the end.
    `boot_id` is the boot in which it was scheduled, `next_boot` the one that it prepared for, once
    that has happened. `scheduled_at` gives the order of records: it is later than that of every
    earlier record, even if the host's clock was set back. `who` is what the client says about
    itself, `login` the account of the SSH login. `left` says what could not be restored after a
    failure. `replaces` are the ids of preparations that this one cancels once it has the lock,
    `replaced` names those that were cancelled for it.
    """

    id: str = ""
    host: str = ""
    kind: str = PREPARE
    who: str = ""
    login: str = ""
    why: str = ""
    due_at: float = 0.0
    due_there: str = ""
    timed: bool = False
    delay_s: float = 0.0
    drain_s: float = 0.0
    lock_wait_s: float = 0.0
    reboot: bool = False
    keep_paused: bool = False
    step: str = ""
    steps: tuple[ItemStep, ...] = ()
    outcome: str = ""
    reason: str = ""
    detail: str = ""
    boot_id: str = ""
    next_boot: str = ""
    scheduled_at: float = 0.0
    finished_at: float = 0.0
    was_active: bool = False
    paused_by_us: bool = False
    requeued: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    snapshot: str = ""
    left: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self)

    @property
    def unit(self) -> str:
        """The name of its systemd units, without ``.timer`` and ``.service``."""
        return f"opstasks-{self.id}"

    @property
    def units(self) -> list[str]:
        """Its timer and its service."""
        return [f"{self.unit}.timer", f"{self.unit}.service"]

    @property
    def title(self) -> str:
        """Its id, whose it is, and for when; for people."""
        return f"{self.id} by {self.who} for {self.due_there}"

    @property
    def last_at(self) -> float:
        """When it ended, or last made a step."""
        return self.finished_at or (self.steps[-1].at if self.steps else self.due_at)

    @property
    def fate_of_reboot(self) -> str:
        """Its state after a reboot, when it has no outcome."""
        return DROPPED if self.step == SCHEDULED else INTERRUPTED

    def state(self, boot_id: str, units: Mapping[str, str]) -> str:
        """Its outcome, or its state in the boot `boot_id`; `units` are unit names with states."""
        if self.outcome:
            return self.outcome
        if self.boot_id != boot_id:
            return self.fate_of_reboot
        if units.get(f"{self.unit}.service") in ("active", "activating", "deactivating"):
            return RUNNING
        if self.step != SCHEDULED:
            return INTERRUPTED
        has_timer = units.get(f"{self.unit}.timer") == "active"
        return SCHEDULED if has_timer or not self.timed else TIMER_LOST


@dataclass(frozen=True)
class Pause:
    """A pause of new jobs, as in its note; raises ValueError for invalid values.

    The flag itself is job-runner's. `until_at` is 0 for a pause without an end, `id` names the
    scheduled end, or the preparation; `task` is the task that paused; `who` is "" for a flag that
    was set by hand. `flag_at` is the flag's own time, which identifies this pause; while the
    flag was being set, it is a time up to `settling_s` before it.
    """

    since_at: float = 0.0
    who: str = ""
    why: str = ""
    until_at: float = 0.0
    id: str = ""
    task: str = ""
    keep: bool = False
    boot_id: str = ""
    flag_at: float = 0.0
    settling_s: float = 0.0

    def __post_init__(self) -> None:
        check(self)

    def is_of(self, flag_at: float) -> bool:
        """Whether this is the pause of job-runner's flag, which was set at `flag_at`."""
        return bool(flag_at) and -1 < flag_at - self.flag_at < 1 + self.settling_s


def not_restored(item: ScheduledItem) -> str:
    """What could not be restored after a preparation, for people; "" if nothing is left."""
    return f"not restored: {'; '.join(item.left)}" if item.left else ""


def cancelled_before(item: ScheduledItem) -> str:
    """What is gone although this preparation did not succeed, for people; "" if nothing is."""
    names = ", ".join(item.replaced)
    return f"{names} was cancelled before that" if names and item.outcome != READY else ""


def current_pause(flag_at: float, note: Pause | None) -> Pause | None:
    """The present pause, or None; `flag_at` is 0 while the flag is not set."""
    if not flag_at:
        return None
    if note is not None and note.is_of(flag_at):
        return note
    return Pause(since_at=flag_at, flag_at=flag_at)


def is_obsolete(item: ScheduledItem, note: Pause | None) -> bool:
    """Whether this is the end of a pause that was ended or replaced: it will do nothing."""
    current = note.id if note else ""
    return item.kind == UNPAUSE and not item.outcome and item.id != current


def ready_for(items: Iterable[ScheduledItem], boot_id: str) -> ScheduledItem | None:
    """The preparation that counts in a boot, of records that are sorted (newest first).

    It is one that was made in this boot, else the one that was for it, else one whose boot has not
    come. Only among equals the newest counts: the host's clock may have been set back.
    """
    ready = [item for item in items if item.kind == PREPARE and item.outcome == READY]
    # Of several preparations in a boot, only the last one was noted with the boot that it was for.
    over = {item.boot_id for item in ready if item.next_boot}

    def rank(item: ScheduledItem) -> tuple[bool, bool, bool]:
        is_ahead = not item.next_boot and item.boot_id not in over
        return item.boot_id == boot_id, item.next_boot == boot_id, is_ahead

    return max(ready, key=rank, default=None)


# -- paths -------------------------------------------------------------------------------------


def checked_id(id: str) -> str:
    """An id that may be part of a path or of a unit's name. Raises HostRefusal for another one."""
    if not ID.fullmatch(id):
        raise HostRefusal(f"this is not the id of scheduled work: {one_line(id[:80])}")
    return id


def records_dir(lock_dir: str) -> Path:
    """The folder of the records."""
    return Path(lock_dir, RECORDS)


def scripts_dir(site: Site) -> Path:
    """The folder of all scripts."""
    return Path(site.lock_dir, SCRIPTS)


def script_dir(site: Site, id: str) -> Path:
    """The folder of the script that a piece of work runs. Raises HostRefusal for an invalid id."""
    return scripts_dir(site) / checked_id(id)


def pause_path(state_dir: str) -> Path:
    """The note on a pause."""
    return Path(state_dir, "pause.json")


# -- from JSON -------------------------------------------------------------------------------


def item_of(found: dict[str, Any]) -> ScheduledItem:
    """A record from its JSON; invalid values and unknown names are left out."""
    values = _known(ScheduledItem(), found)
    entries = found.get("steps")
    steps = (
        [step for step in entries if isinstance(step, dict)] if isinstance(entries, list) else []
    )
    values["steps"] = tuple(ItemStep(**_known(ItemStep(), step)) for step in steps)
    return ScheduledItem(**values)


def pause_of(found: dict[str, Any]) -> Pause:
    """A note from its JSON; invalid values and unknown names are left out."""
    return Pause(**_known(Pause(), found))


def _known(default: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The values of a JSON object that have the types and limits of the default values."""
    known = {}
    for name in (item.name for item in fields(default)):
        old, value = getattr(default, name), found.get(name)
        if isinstance(old, float) and type(value) is int and is_within(name, value):
            value = float(value)
        if isinstance(old, tuple) and isinstance(value, list):
            value = tuple(text for text in value if isinstance(text, str))
        if type(value) is type(old) and is_within(name, value):
            known[name] = value
    return known
