"""Scheduled work as `--json` shows it (docs/json.md).

Moments are seconds since the epoch, 0 for "not yet" or "none". Texts are "" where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.core.state import HostState
from opstasks.maintenance.cancel import CancelChoice, CancelResult
from opstasks.maintenance.onhost.records import ScheduledItem
from opstasks.maintenance.records import UnreadableRecord
from opstasks.maintenance.scheduled import HostSchedule, ScheduledRow


@dataclass(frozen=True)
class ScheduledWork:
    """One piece of work; `outcome` is "" until its end, and `reason` says why it ended so.

    `what` is the task: prepare-reboot, or unpause for the end of a pause.
    """

    id: str
    what: str
    reboot: bool
    due_at: float
    ended_at: float
    outcome: str
    reason: str
    who: str
    why: str


@dataclass(frozen=True)
class ScheduleEntry:
    """One piece of work with its state; `is_past`: nothing happens any more, nobody is needed."""

    id: str
    what: str
    reboot: bool
    state: str
    due_at: float
    ended_at: float
    who: str
    why: str
    reason: str
    is_past: bool


@dataclass(frozen=True)
class ScheduleReport:
    """What is ahead or needs a person, then past work, newest first; `past` counts all of it.

    `unreadable` are records that cannot be read: they may be of work that is ahead.
    """

    items: tuple[ScheduleEntry, ...]
    past: int
    unreadable: tuple[UnreadableRecord, ...]


@dataclass(frozen=True)
class CancelPlanReport:
    """What could be cancelled; `over` is work with the given id that has ended already."""

    items: tuple[ScheduledWork, ...]
    over: tuple[ScheduledWork, ...]


@dataclass(frozen=True)
class CancelReport:
    """The work that was cancelled, or was over already; null if there was none."""

    changed: bool
    item: ScheduledWork | None
    now: HostState


def work_of(item: ScheduledItem) -> ScheduledWork:
    """A record without what only the host needs."""
    return ScheduledWork(
        id=item.id,
        what=item.kind,
        reboot=item.reboot,
        due_at=item.due_at,
        ended_at=item.finished_at,
        outcome=item.outcome,
        reason=item.reason,
        who=item.who,
        why=item.why,
    )


def _entry(row: ScheduledRow) -> ScheduleEntry:
    return ScheduleEntry(
        id=row.id,
        what=row.what,
        reboot=row.reboot,
        state=row.state,
        due_at=row.due_at,
        ended_at=row.ended_at,
        who=row.who,
        why=row.why,
        reason=row.reason,
        is_past=row.is_past,
    )


def schedule(found: HostSchedule) -> ScheduleReport:
    """The work of a host."""
    return ScheduleReport(tuple(map(_entry, found.items)), found.past, found.unreadable)


def cancel_planned(choice: CancelChoice) -> CancelPlanReport:
    """What could be cancelled on a host."""
    return CancelPlanReport(tuple(map(work_of, choice.items)), tuple(map(work_of, choice.over)))


def not_cancelled(choice: CancelChoice) -> CancelReport:
    """The result of a host where nothing was cancelled."""
    return CancelReport(False, work_of(choice.over[0]) if choice.over else None, HostState())


def cancelled(result: CancelResult) -> CancelReport:
    """What was cancelled on a host."""
    return CancelReport(result.changed, work_of(result.item) if result.item else None, result.now)
