"""Preparations for a reboot as `--json` shows them (docs/json.md).

Moments are seconds since the epoch, 0 for "not yet" or "none". Texts are "" where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from opstasks.core.state import HostState
from opstasks.maintenance.checklist import Checklist
from opstasks.maintenance.onhost.database import RunningJob
from opstasks.maintenance.pause_reports import PresentPause, pause_of
from opstasks.maintenance.prepare import (
    READY_STATE,
    REBOOTED_STATE,
    REBOOTING_STATE,
    PrepareResult,
    RebootPlan,
)
from opstasks.maintenance.scheduled_reports import ScheduledWork, work_of

PreparedWord = Literal["nothing done", "scheduled", "ready", "rebooting", "rebooted"]
_WORDS: dict[str, PreparedWord] = {
    READY_STATE: "ready",
    REBOOTING_STATE: "rebooting",
    REBOOTED_STATE: "rebooted",
}


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
