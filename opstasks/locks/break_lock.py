"""Find the processes that hold a host's lock, and stop them when they hang."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from opstasks.core.command import Command, Raw, cmd, quote
from opstasks.core.errors import OpsError, Refused, VerifyFailed
from opstasks.core.fields import Count, Line, Seconds, Small
from opstasks.core.formats import plural
from opstasks.fleet import audit, lock
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program

GRACE_S = 10.0


class LockProcess(msgspec.Struct, frozen=True):
    """A process on the host that has the lock open.

    `start_ticks` (since the boot) distinguishes it from a later process with the same id.
    """

    pid: Small
    start_ticks: Count
    user: Line
    age_s: Seconds
    command: Line
    unit: Line = ""
    session: Small = 0

    def describe(self) -> str:
        """For people: ``process 12 of nobody (sleep 60)``."""
        return f"process {self.pid} of {self.user} ({self.command})"


class HoldersRequest(msgspec.Struct, frozen=True):
    """The lock file to look for."""

    lock: str


class StopRequest(msgspec.Struct, frozen=True):
    """Processes to stop, by id and start, and those of their sessions that hold the lock.

    With `kill`, kill the rest after `grace_s` seconds.
    """

    lock: str
    account: str
    shown: tuple[tuple[int, int], ...]
    sessions: tuple[int, ...]
    grace_s: float
    kill: bool


class HoldersAnswer(msgspec.Struct, frozen=True):
    """The processes that have the lock open, oldest first."""

    holders: tuple[LockProcess, ...]


HOLDERS = Program("opstasks.locks.onhost.holders", HoldersRequest, HoldersAnswer)
STOP = Program("opstasks.locks.onhost.stop", StopRequest, HoldersAnswer, changes=True)


@dataclass(frozen=True)
class HeldLock:
    """The state of a lock; `owner` is None when it is free."""

    owner: lock.Owner | None
    processes: tuple[LockProcess, ...] = ()

    @property
    def sessions(self) -> frozenset[int]:
        """The sessions of the processes: what they start has the same."""
        return frozenset(process.session for process in self.processes) - {0}

    def describe(self) -> str:
        """For people: the owner, or the processes if the holder is not a run of ours."""
        if self.owner is None:
            return "free"
        named = self.owner.describe()
        if self.owner != lock.NAMELESS or not self.processes:
            return named
        return f"{named}: {', '.join(process.describe() for process in self.processes)}"


@dataclass(frozen=True)
class LockBreakPlan:
    """The processes to stop, their owner, and the reason; empty for a free lock."""

    held: HeldLock
    reason: str
    kill: bool


@dataclass(frozen=True)
class LockBreakResult:
    """The outcome: who had the lock, and the ids of the processes that ended."""

    changed: bool
    owner: lock.Owner | None = None
    stopped: tuple[int, ...] = ()


def is_free(spec: HostSpec) -> Command:
    """A command that succeeds when the lock can be taken."""
    path = quote(spec.lock_file)
    return cmd(Raw(f"[ ! -e {path} ] || flock -n {path} true"))


def clear(spec: HostSpec) -> Command:
    """Empty the lock file, whose text is for people; succeeds when the lock is free."""
    path = quote(spec.lock_file)
    return cmd(Raw(f"flock -n {path} bash -c ': >\"$1\"' bash {path}"))


def others(spec: HostSpec, processes: Iterable[LockProcess]) -> list[LockProcess]:
    """The processes of accounts that must not be able to hold the lock."""
    return [process for process in processes if process.user not in ("root", spec.service_user)]


def show(host: Host) -> HeldLock:
    """Who holds the lock; asks as root for its processes only if its file does not name anybody."""
    owner = lock.parse_owner(host.service.output(lock.holder(host.spec)))
    if owner != lock.NAMELESS:
        return HeldLock(owner)
    try:
        return inspect(host)
    except Refused:
        return HeldLock(owner)


def inspect(host: Host) -> HeldLock:
    """Who holds the lock, and with which processes, in one round trip as root."""
    asked = HOLDERS.command(HoldersRequest(host.spec.lock_file))
    free, owner, holders = host.root.batch([is_free(host.spec), lock.holder(host.spec), asked])
    if free.code == 0:
        return HeldLock(None)
    found = HOLDERS.decode(holders, host.name)
    return HeldLock(lock.parse_owner(owner.out) or lock.NAMELESS, found.holders)


def plan(held: HeldLock, reason: str, *, kill: bool) -> LockBreakPlan:
    """The plan to stop the processes found; `reason` is recorded in the audit."""
    return LockBreakPlan(held, reason, kill)


def apply(host: Host, plan: LockBreakPlan) -> LockBreakResult:
    """Stop the processes that were shown; the kernel frees the lock when the last one ends.

    Raises VerifyFailed when one does not end, Refused when another run has the lock now.
    """
    if plan.held.owner is None:
        return LockBreakResult(False)
    now = inspect(host)
    if now.owner is None:
        return LockBreakResult(False)
    if not is_same_holder(plan.held, now):
        who = "another run" if plan.held.processes else "a run whose processes were not seen"
        raise Refused(
            f"{who} has the lock now: {now.owner.describe()}",
            host=host.name,
            hint="run it again to see who",
        )
    told = {
        "reason": plan.reason,
        "holder": now.owner.describe(),
        "broke": now.owner.run_id,
    }
    entry = audit.start(host.name, "lock.break", told)
    _write(host, entry)
    with audit.ending(entry, partial(_write, host)), host.changing():
        return _stop(host, plan, now.owner)


def is_same_holder(shown: HeldLock, now: HeldLock) -> bool:
    """Whether the lock is still held by the run that was shown.

    Two runs may have the same text in the lock file, or none: then their processes decide.
    """
    known = {(process.pid, process.start_ticks) for process in shown.processes}
    is_left = bool(shown.sessions & now.sessions) or any(
        (process.pid, process.start_ticks) in known for process in now.processes
    )
    return now.owner == shown.owner and (is_left or not now.processes)


def _write(host: Host, entry: audit.AuditEntry) -> None:
    """Record in both places; the end is not recorded on a host that does not answer."""
    audit.write_local(entry)
    line = cmd(Raw(audit.journal_text(entry)))
    if entry.phase == "start":
        host.root.batch([line])
    elif host.root.is_open:
        with contextlib.suppress(OpsError):
            host.root.batch([line])


def _stop(host: Host, plan: LockBreakPlan, owner: lock.Owner) -> LockBreakResult:
    held = plan.held
    host.step(f"stop {plural(len(held.processes), 'process', 'processes')}")
    request = StopRequest(
        host.spec.lock_file,
        host.spec.service_user,
        tuple((process.pid, process.start_ticks) for process in held.processes),
        tuple(sorted(held.sessions)),
        GRACE_S,
        plan.kill,
    )
    stopped, cleared = host.root.batch([STOP.command(request), clear(host.spec)])
    left = STOP.decode(stopped, host.name).holders
    if cleared.code:
        raise _still_held(host, plan, left)
    ended = {process.pid for process in held.processes} - {process.pid for process in left}
    return LockBreakResult(True, owner, tuple(sorted(ended)))


def _still_held(host: Host, plan: LockBreakPlan, left: Sequence[LockProcess]) -> VerifyFailed:
    shown = {process.pid for process in plan.held.processes}
    is_ours = all(p.pid in shown or p.session in plan.held.sessions for p in left)
    if is_ours and plan.kill:
        hint = "it waits for a disk or a network drive: repair that, or reboot the host"
    else:
        hint = "add --kill" if is_ours else f"inv -H {host.name} lock.show"
    named = ", ".join(str(process.pid) for process in left) or "?"
    return VerifyFailed(f"the lock is still held, by process {named}", host=host.name, hint=hint)
