"""Pauses and scheduled work as `--json` shows them (docs/json.md).

Moments are seconds since the epoch, 0 for "not yet" or "none". Texts are "" where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from opstasks.core.state import HostState
from opstasks.maintenance.cancel import CancelChoice, CancelResult
from opstasks.maintenance.checklist import Checklist
from opstasks.maintenance.onhost.database import RunningJob
from opstasks.maintenance.onhost.records import Pause, ScheduledItem
from opstasks.maintenance.pause import PauseAction, PauseFacts, PausePlan, PauseResult
from opstasks.maintenance.prepare import (
    READY_STATE,
    REBOOTED_STATE,
    REBOOTING_STATE,
    PrepareResult,
    RebootPlan,
)
from opstasks.maintenance.scheduled import HostSchedule, ScheduledRow

PreparedWord = Literal["nothing done", "scheduled", "ready", "rebooting", "rebooted"]
_WORDS: dict[str, PreparedWord] = {
    READY_STATE: "ready",
    REBOOTING_STATE: "rebooting",
    REBOOTED_STATE: "rebooted",
}


# -- pauses ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class PresentPause:
    """A pause; `who` is "" for one that was set by hand, `task` is the task that paused."""

    since_at: float
    until_at: float
    who: str
    why: str
    task: str


@dataclass(frozen=True)
class PausePlanReport:
    """What `pause` would do; `pause` is the present one, the other fields are those of the new one.

    `action`: "change" keeps what is not named, "replace" takes over a pause of somebody else.
    """

    action: PauseAction
    why: str
    until_at: float
    pause: PresentPause | None


@dataclass(frozen=True)
class UnpausePlanReport:
    """What `unpause` would end: the present pause, if any, and the scheduled ends by their ids."""

    pause: PresentPause | None
    ends: tuple[str, ...]


@dataclass(frozen=True)
class PauseReport:
    """The pause afterwards, if any; `before` is the one that was ended or replaced."""

    changed: bool
    pause: PresentPause | None
    before: PresentPause | None
    now: HostState


def pause_of(pause: Pause | None) -> PresentPause | None:
    """A pause without what identifies its flag."""
    if pause is None:
        return None
    return PresentPause(pause.since_at, pause.until_at, pause.who, pause.why, pause.task)


def pause_planned(plan: PausePlan) -> PausePlanReport:
    """What `pause` would do."""
    return PausePlanReport(plan.action, plan.why, plan.until_at, pause_of(plan.before.pause))


def unpause_planned(found: PauseFacts) -> UnpausePlanReport:
    """What `unpause` would do."""
    return UnpausePlanReport(pause_of(found.pause), found.ends)


def as_it_was(found: PauseFacts) -> PauseReport:
    """The result of a host where nothing was done."""
    return PauseReport(False, pause_of(found.pause), None, found.now)


def paused(result: PauseResult) -> PauseReport:
    """What `pause` or `unpause` did."""
    return PauseReport(result.changed, pause_of(result.pause), pause_of(result.before), result.now)


# -- scheduled work --------------------------------------------------------------------------


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
    """What is ahead or needs a person, then past work, newest first; `past` counts all of it."""

    items: tuple[ScheduleEntry, ...]
    past: int


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
    return ScheduleReport(tuple(map(_entry, found.items)), found.past)


def cancel_planned(choice: CancelChoice) -> CancelPlanReport:
    """What could be cancelled on a host."""
    return CancelPlanReport(tuple(map(work_of, choice.items)), tuple(map(work_of, choice.over)))


def not_cancelled(choice: CancelChoice) -> CancelReport:
    """The result of a host where nothing was cancelled."""
    return CancelReport(False, work_of(choice.over[0]) if choice.over else None, HostState())


def cancelled(result: CancelResult) -> CancelReport:
    """What was cancelled on a host."""
    return CancelReport(result.changed, work_of(result.item) if result.item else None, result.now)


# -- preparations ----------------------------------------------------------------------------


@dataclass(frozen=True)
class PreparePlanReport:
    """What a preparation would meet: the state of the host, and the jobs that begin again.

    `due_at` is when the host is prepared. `scheduled` are the preparations that it replaces,
    `ready` the one that the host is prepared by. `own`: the service account prepares the host,
    without root.
    """

    due_at: float
    is_serving: bool
    is_enabled: bool
    is_paused: bool
    is_ready: bool
    own: bool
    jobs: tuple[RunningJob, ...]
    scheduled: tuple[ScheduledWork, ...]
    pause: PresentPause | None
    ready: ScheduledWork | None


@dataclass(frozen=True)
class PrepareReport:
    """What became of a host; `id` and `due_at` are those of the work, "" and null if there is none.

    `requeued` are the ids of the jobs that begin again, `checklist` is that after the reboot.
    """

    changed: bool
    state: PreparedWord
    id: str
    due_at: float
    requeued: tuple[str, ...]
    note: str
    checklist: Checklist | None
    now: HostState


def prepare_planned(plan: RebootPlan) -> PreparePlanReport:
    """What a preparation would meet on a host."""
    return PreparePlanReport(
        due_at=plan.due_at,
        is_serving=plan.is_serving,
        is_enabled=plan.is_enabled,
        is_paused=plan.is_paused,
        is_ready=plan.is_ready,
        own=plan.own,
        jobs=plan.jobs,
        scheduled=tuple(map(work_of, plan.scheduled)),
        pause=pause_of(plan.pause),
        ready=work_of(plan.ready) if plan.ready else None,
    )


def not_prepared(plan: RebootPlan) -> PrepareReport:
    """The result of a host where nothing was done."""
    now = HostState(paused=plan.is_paused)
    return PrepareReport(False, "nothing done", "", 0.0, (), "", None, now)


def prepared(result: PrepareResult) -> PrepareReport:
    """What was done on a host."""
    return PrepareReport(
        changed=result.changed,
        state=_WORDS.get(result.state, "scheduled"),
        id=result.id,
        due_at=result.due_at,
        requeued=result.requeued,
        note=result.note,
        checklist=result.checklist,
        now=result.now,
    )
