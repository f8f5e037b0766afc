"""From a host's answers to its status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from opstasks.deploy.release import Release
from opstasks.fleet import lock
from opstasks.jobs import disks
from opstasks.jobs.read import JobsAnswer
from opstasks.maintenance.records import PREPARE, RUNNING, UNREAD, Maintenance
from opstasks.primitives.systemd import UnitState
from opstasks.status import concerns, service
from opstasks.status.crashes import ServiceRun
from opstasks.status.model import (
    KINDS,
    Concern,
    HostStatus,
    LastRelease,
    LockStatus,
    NextWork,
    PauseStatus,
    SyncStatus,
)
from opstasks.sync.facts import SyncState

NO_JOBS = JobsAnswer(0.0, {}, {}, ())


@dataclass(frozen=True)
class StatusFacts:
    """A host's answers; `problems` says for each missing part why.

    `misfit`: why the service could not start with this code and database.
    """

    host: str
    unit: UnitState
    runs: tuple[ServiceRun, ...] = ()
    release: str | None = None
    behind: int | None = None
    misfit: str = ""
    jobs: JobsAnswer = NO_JOBS
    disks_percent: dict[str, int] = field(default_factory=dict)
    releases: tuple[Release, ...] = ()
    lock_owner: lock.Owner | None = None
    maintenance: Maintenance = UNREAD
    sync: SyncState | None = None
    problems: tuple[str, ...] = ()


def judge(facts: StatusFacts, now_at: float) -> HostStatus:
    """The status for a host's answers; `now_at` is our clock, if the host did not say its own."""
    now_at = facts.maintenance.now_at or now_at
    found = sorted(all_concerns(facts, now_at), key=lambda one: KINDS.index(one.kind))
    place, percent = disks.fullest(facts.disks_percent) or (None, None)
    pause, jobs = facts.maintenance.pause, facts.jobs
    return HostStatus(
        ok=not any(concern.is_wrong for concern in found),
        service=service.status_of(facts.unit, _deaths(facts, now_at), now_at),
        release=facts.release,
        behind=facts.behind,
        running=jobs.count("running"),
        pending=jobs.count("pending"),
        failed_24h=None if jobs.problem else jobs.ended_day.get("failed", 0),
        disk_percent=percent,
        disk_mount=place,
        disks_percent=facts.disks_percent,
        is_paused=None if facts.maintenance.flag_error else pause is not None,
        pause=PauseStatus(pause.since_at, pause.until_at, pause.who, pause.why) if pause else None,
        next=_next(facts.maintenance),
        last_release=_last_release(facts.releases),
        lock=_lock(facts.lock_owner),
        sync=_sync(facts.sync),
        concerns=tuple(found),
        read_at=now_at,
    )


def all_concerns(facts: StatusFacts, now_at: float) -> list[Concern]:
    """Everything to know about a host."""
    host, owner, maintenance = facts.host, facts.lock_owner, facts.maintenance
    serves = facts.unit.is_serving
    is_paused = maintenance.pause is not None
    waits = maintenance.not_rebooted(serving=serves, paused=is_paused)
    deaths = _deaths(facts, now_at)
    status = service.status_of(facts.unit, deaths, now_at)
    undo = concerns.undo_of(facts.releases, host, now_at)
    found = service.concerns(facts.unit, status, deaths, now_at, host=host, undo=undo)
    if waits and status.state == "stopped" and service.was_stopped(facts.unit):
        found = [concerns.prepared(waits, host, now_at), *found[1:]]
    return [
        *found,
        *concerns.of_code(facts.misfit, facts.problems, host),
        *concerns.of_jobs(facts.jobs, host),
        *concerns.of_disks(facts.disks_percent, host),
        *concerns.of_lock(owner, host),
        *concerns.of_releases(facts.releases, owner, host, now_at),
        *concerns.of_pause(maintenance, host, now_at, explained=bool(facts.jobs.problem)),
        *concerns.of_scheduled(maintenance, host),
        *(concerns.of_sync(facts.sync, host) if facts.sync else []),
    ]


def _deaths(facts: StatusFacts, now_at: float) -> service.Deaths:
    return service.deaths_of(facts.unit, facts.runs, now_at)


def _next(maintenance: Maintenance) -> NextWork | None:
    """The next preparation for a reboot; without one, the end of the pause."""
    found = maintenance.open()
    item = next((item for item in found if item.kind == PREPARE), None) or next(iter(found), None)
    if item is None:
        return None
    is_running = maintenance.state(item) == RUNNING
    return NextWork(item.id, item.kind, item.due_at, item.reboot, is_running, item.who, item.why)


def _last_release(releases: Sequence[Release]) -> LastRelease | None:
    last = next((release for release in releases if not release.unread), None)
    if last is None:
        return None
    return LastRelease(
        last.kind,
        last.outcome,
        last.from_name,
        last.to_name,
        last.who,
        last.started_at,
        last.finished_at,
    )


def _lock(owner: lock.Owner | None) -> LockStatus | None:
    return LockStatus(owner.who, owner.task, owner.since_at) if owner else None


def _sync(state: SyncState | None) -> SyncStatus | None:
    return SyncStatus(state.on, state.running, state.last_success_at) if state else None
