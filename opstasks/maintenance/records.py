"""Scheduled work on a host, its outcome, and who paused: reading and judging it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from opstasks.core.fields import Line, Moment
from opstasks.core.hints import one_word
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program, ProgramCommand
from opstasks.maintenance.onhost.records import (
    DROPPED,
    FAILED,
    INTERRUPTED,
    OBSOLETE,
    PREPARE,
    READY,
    REFUSED,
    RUNNING,
    SCHEDULED,
    TIMER_LOST,
    Pause,
    ScheduledItem,
    cancelled_before,
    current_pause,
    is_obsolete,
    not_restored,
    ready_for,
)
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.site import site_for

__all__ = [
    "PREPARE",
    "READ",
    "RUNNING",
    "UNREAD",
    "UNREADY_S",
    "Maintenance",
    "MaintenanceRequest",
    "Pause",
    "ScheduledItem",
    "UnreadableRecord",
    "read_command",
]
# The states of work that is scheduled or under way.
OPEN_STATES = (SCHEDULED, RUNNING)
# The states of a preparation after which a host is not prepared.
UNREADY = (REFUSED, FAILED, INTERRUPTED)
# How long `status` shows such a preparation, unless something newer is scheduled.
UNREADY_S = 24 * 3600


@dataclass(frozen=True)
class MaintenanceRequest:
    """What to read; `with_flag`: also job-runner's pause flag, from its database."""

    site: Site
    with_flag: bool = False


@dataclass(frozen=True)
class UnreadableRecord:
    """A record of scheduled work that cannot be read, and why."""

    name: Line
    error: Line


@dataclass(frozen=True)
class Maintenance:
    """A host's records (newest first), its pause, and what is needed to judge them.

    `note` is our note on a pause, `flag_at` the time of job-runner's flag (seconds since the epoch,
    0: not paused), `flag_error` says why the flag could not be read. `units` are the states of our
    units by name. `unreadable` are records that are not in `items`.
    """

    now_at: Moment
    boot_id: Line
    items: tuple[ScheduledItem, ...]
    note: Pause | None = None
    flag_at: Moment = 0.0
    flag_error: Line = ""
    units: dict[Line, Line] = field(default_factory=dict)
    unreadable: tuple[UnreadableRecord, ...] = ()

    @property
    def pause(self) -> Pause | None:
        """The present pause; None when the host is not paused, or the flag was not read."""
        return current_pause(self.flag_at, self.note)

    def state(self, item: ScheduledItem) -> str:
        """The state of a piece of work: its outcome, or a state without one."""
        if is_obsolete(item, self.note):
            return OBSOLETE
        return item.state(self.boot_id, self.units)

    def cause(self, item: ScheduledItem) -> str:
        """The reason for the state, for people; "" when there is nothing to explain."""
        is_here = item.boot_id == self.boot_id
        words = {
            OBSOLETE: "its pause is over, it does nothing",
            READY: "" if is_here else "the host was rebooted since then",
            DROPPED: "the host was rebooted before its time",
            INTERRUPTED: f"its unit ended at {item.step!r}"
            if is_here
            else f"the host went down at {item.step!r}",
            TIMER_LOST: "its timer is gone",
        }
        found = [item.reason, words.get(self.state(item), "")]
        found += [not_restored(item), cancelled_before(item)]
        return "; ".join(text for text in found if text)

    def advice(self, item: ScheduledItem) -> str:
        """What a person can do about the state; "" when there is nothing to do."""
        cancel = f"`scheduled.cancel {one_word(item.id)}`"
        words = {
            OBSOLETE: f"{cancel} removes it",
            DROPPED: f"schedule it again, or dismiss it with {cancel}",
            INTERRUPTED: f"{cancel} restores the service and the pause"
            if item.boot_id == self.boot_id
            else "",
            TIMER_LOST: "schedule it again",
        }
        return words.get(self.state(item), "")

    def reason(self, item: ScheduledItem) -> str:
        """The reason for the state and what to do, in one line."""
        return ": ".join(text for text in (self.cause(item), self.advice(item)) if text)

    def age_s(self, item: ScheduledItem) -> float:
        """How long ago work ended or made its last step.

        The host's clock may have been set back since then: a time of an earlier boot that is far
        ahead is as old as one that is long past.
        """
        age_s = self.now_at - item.last_at
        return max(0.0, age_s) if item.boot_id == self.boot_id else abs(age_s)

    def open(self) -> tuple[ScheduledItem, ...]:
        """Work that is scheduled or under way, the next one first."""
        found = [item for item in self.items if self.state(item) in OPEN_STATES]
        return tuple(sorted(found, key=lambda item: item.due_at))

    def obsolete(self) -> tuple[ScheduledItem, ...]:
        """The scheduled ends of pauses that were ended or replaced: they will do nothing."""
        return tuple(item for item in self.items if self.state(item) == OBSOLETE)

    def unfinished(self) -> tuple[ScheduledItem, ...]:
        """Work that can be cancelled or dismissed: all without an outcome, the next one first.

        Obsolete ends count only if there is nothing else, as on the host.
        """
        found = [i for i in self.items if not i.outcome and self.state(i) != OBSOLETE]
        return tuple(sorted(found, key=lambda item: item.due_at)) or self.obsolete()[:1]

    def dropped(self) -> tuple[ScheduledItem, ...]:
        """Preparations that lost their timer before their time and were not dismissed."""
        waiting = (i for i in self.items if i.kind == PREPARE and not i.outcome)
        return tuple(item for item in waiting if self.state(item) in (DROPPED, TIMER_LOST))

    def prepared(self) -> ScheduledItem | None:
        """The preparation for this boot, or one that still waits for its reboot.

        A boot notes its preparation at its end. Until then only the newest one counts.
        """
        ready = ready_for(self._begun(READY), self.boot_id)
        if ready is None or ready.next_boot == self.boot_id:
            return ready
        begun = self._begun(READY, *UNREADY)
        # One that was for another boot is older, whatever the clock said then.
        newest = next(i for i in begun if i.next_boot in ("", self.boot_id) or i is ready)
        return ready if ready is newest and not ready.next_boot else None

    def unready(self) -> ScheduledItem | None:
        """The newest preparation, if it failed and was not dismissed."""
        newest = next(self._begun(READY, *UNREADY), None)
        if newest is None or newest.outcome in (READY, INTERRUPTED):
            return None
        # Refused while the host was already prepared: the earlier preparation stayed valid.
        held = self.prepared() is not None and newest.boot_id != self.boot_id
        return None if held else newest

    def not_rebooted(self, *, serving: bool, paused: bool) -> ScheduledItem | None:
        """The newest preparation, if it was not abandoned and its reboot has not happened yet.

        It was abandoned if the service runs again, or the host is not paused any more. A later
        preparation that was refused has touched nothing.
        """
        item = next(self._begun(READY, FAILED, INTERRUPTED), None)
        is_here = item is not None and item.outcome == READY and item.boot_id == self.boot_id
        return item if is_here and paused and not serving else None

    def _begun(self, *states: str) -> Iterator[ScheduledItem]:
        """Preparations that began and are now in one of these states, the newest first."""
        begun = (i for i in self.items if i.kind == PREPARE and i.step != SCHEDULED)
        return (item for item in begun if self.state(item) in states)


# For a host that could not be read.
UNREAD = Maintenance(now_at=0.0, boot_id="", items=())
READ = Program("opstasks.maintenance.onhost.read", MaintenanceRequest, Maintenance)


def read_command(spec: HostSpec, *, with_flag: bool = False) -> ProgramCommand:
    """The command that reads a host's records, for any account; decode with `READ`."""
    return READ.command(MaintenanceRequest(site_for(spec), with_flag))
