"""Pauses as `--json` shows them (docs/json.md).

Moments are seconds since the epoch, 0 for "not yet" or "none". Texts are "" where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.core.state import HostState
from opstasks.maintenance.onhost.records import Pause
from opstasks.maintenance.pause import PauseAction, PauseFacts, PausePlan, PauseResult


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
