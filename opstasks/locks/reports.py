"""Locks as `--json` shows them (docs/json.md)."""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.fleet.lock import Owner
from opstasks.locks.break_lock import HeldLock, LockBreakResult


@dataclass(frozen=True)
class LockOwner:
    """Who holds a lock, with which task; `since_at` is null when it is not known."""

    who: str
    task: str
    since_at: float
    run_id: str


@dataclass(frozen=True)
class LockHolder:
    """A process on the host that has the lock open; `unit` is its systemd unit, or ""."""

    pid: int
    user: str
    age_s: float
    command: str
    unit: str


@dataclass(frozen=True)
class LockReport:
    """A lock; `owner` is null when it is free.

    `processes` are those that hold it; `lock.show` reads them only if the lock names no owner.
    """

    owner: LockOwner | None
    processes: tuple[LockHolder, ...]


@dataclass(frozen=True)
class LockBreakReport:
    """What `lock.break` did: who had the lock, and the ids of the processes that ended."""

    changed: bool
    owner: LockOwner | None
    stopped: tuple[int, ...]


def _owner(owner: Owner | None) -> LockOwner | None:
    if owner is None:
        return None
    return LockOwner(owner.who, owner.task, owner.since_at, owner.run_id)


def lock_of(held: HeldLock) -> LockReport:
    """The state of a lock."""
    return LockReport(
        _owner(held.owner),
        tuple(LockHolder(p.pid, p.user, p.age_s, p.command, p.unit) for p in held.processes),
    )


def broken(result: LockBreakResult) -> LockBreakReport:
    """What was stopped."""
    return LockBreakReport(result.changed, _owner(result.owner), result.stopped)
