"""Pausing and unpausing new jobs, with job-runner's own flag (playbook: "Pausing new jobs")."""

from __future__ import annotations

from dataclasses import dataclass, field

from opstasks.core.errors import CommandFailed, Refused
from opstasks.core.formats import minute_text
from opstasks.core.state import HostState
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.maintenance.onhost.records import (
    NO_DATABASE,
    PREPARE,
    UNPAUSE,
    Pause,
    ScheduledItem,
)
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.records import READ, MaintenanceRequest
from opstasks.maintenance.site import TIMEOUT_S, call, site_for

# How long the end of a pause waits for a change that holds the host's lock.
LOCK_WAIT_S = 600.0


@dataclass(frozen=True)
class PauseRequest:
    """Who pauses and why; `end` is the work that ends the pause.

    `seen_at` is the time of the flag that the person saw, 0 for none. `replace`: that pause is
    replaced; without it, only what is named is changed.
    """

    site: Site
    who: str
    why: str = ""
    seen_at: float = 0.0
    replace: bool = False
    end: ScheduledItem | None = None


@dataclass(frozen=True)
class PauseAnswer:
    """The present pause, and the state of the host after it was set."""

    changed: bool
    pause: Pause
    now: HostState = field(default_factory=HostState)


@dataclass(frozen=True)
class UnpauseRequest:
    """The host to unpause."""

    site: Site


@dataclass(frozen=True)
class UnpauseAnswer:
    """Whether the host was paused, and its state afterwards."""

    changed: bool
    now: HostState = field(default_factory=HostState)


PAUSE = Program(
    "opstasks.maintenance.onhost.pause",
    PauseRequest,
    PauseAnswer,
    timeout_s=TIMEOUT_S,
    changes=True,
)
UNPAUSE_PROGRAM = Program(
    "opstasks.maintenance.onhost.unpause",
    UnpauseRequest,
    UnpauseAnswer,
    timeout_s=TIMEOUT_S,
    changes=True,
)


@dataclass(frozen=True)
class PauseResult:
    """The present pause, or the one that was ended; `now_at` is the host's time (epoch seconds).

    `before` is somebody else's pause that was replaced. `ends` are the ids of scheduled ends of
    pauses, as they were found.
    """

    changed: bool
    pause: Pause | None = None
    now_at: float = 0.0
    before: Pause | None = None
    ends: tuple[str, ...] = ()
    now: HostState = field(default_factory=HostState)


def inspect(host: Host) -> PauseResult:
    """The present pause of a host, in one round trip.

    Raises CommandFailed when job-runner's flag cannot be read.
    """
    found = host.service.call(READ, MaintenanceRequest(site_for(host.spec), with_flag=True))
    if found.flag_error:
        task = "manage" if found.flag_error == NO_DATABASE else "doctor"
        raise CommandFailed(
            f"cannot read the flag: {found.flag_error}",
            returned=1,
            host=host.name,
            hint=f"inv -H {host.name} {task}",
        )
    ends = tuple(i.id for i in found.items if i.kind == UNPAUSE and not i.outcome)
    now = HostState(paused=found.pause is not None, boot_id=found.boot_id)
    return PauseResult(False, found.pause, found.now_at, ends=ends, now=now)


def plan(host: Host, *, why: str = "", for_s: int = 0, replace: bool = False) -> PauseResult:
    """Look at a host that is to be paused; raises Refused for the pause of somebody else."""
    before = inspect(host)
    if before.pause and (why or for_s) and not replace:
        refuse_other(host, before.pause)
    return before


def refuse_other(host: Host, pause: Pause) -> None:
    """Raise Refused for a pause that is not ours: its owner relies on its reason and its end."""
    if pause.who == audit.who() and pause.task != PREPARE:
        return
    until = f", until {minute_text(pause.until_at)}" if pause.until_at else ""
    raise Refused(
        f"paused already by {pause.who or 'someone, by hand'} since {minute_text(pause.since_at)}"
        f"{until}" + (f": {pause.why}" if pause.why else ""),
        host=host.name,
        hint="add --replace to make it your pause",
    )


def pause(host: Host, *, why: str = "", for_s: int = 0, replace: bool = False) -> PauseResult:
    """Pause; with `for_s` the host unpauses by itself after so many seconds.

    One's own pause gets the new reason or end; without either, nothing is done. Raises Refused for
    the pause of somebody else, unless it is to be replaced.
    """
    before = plan(host, why=why, for_s=for_s, replace=replace)
    if before.pause and not (why or for_s or replace):
        return before
    was = before.pause if replace else None
    args = {"why": why, "for": f"{for_s} s" if for_s else "", "replaces": _told(was)}
    # A timer is root's.
    shell = host.root if for_s or (was and before.ends) else host.service
    request = PauseRequest(
        site_for(host.spec),
        audit.who(),
        why,
        seen_at=before.pause.flag_at if before.pause else 0.0,
        replace=replace,
        end=_end(host, for_s, why) if for_s else None,
    )
    with change(shell, "pause", {k: v for k, v in args.items() if v}):
        answer = call(shell, PAUSE, request)
    return PauseResult(answer.changed, answer.pause, before.now_at, before=was, now=answer.now)


def _told(pause: Pause | None) -> str:
    """A pause in few words, for the record."""
    return f"{pause.who or 'hand'}: {pause.why}".rstrip(": ") if pause else ""


def _end(host: Host, for_s: int, why: str) -> ScheduledItem:
    """The end of a pause."""
    return ScheduledItem(
        id=audit.new_run_id(),
        host=host.name,
        kind=UNPAUSE,
        who=audit.who(),
        why=why,
        delay_s=float(for_s),
        timed=True,
        lock_wait_s=LOCK_WAIT_S,
    )


def unpause(host: Host) -> PauseResult:
    """Unpause, no matter who paused; a scheduled end is cancelled.

    The service account cannot do that: then the end does nothing at its time.
    """
    before = inspect(host)
    if before.pause is None:
        return before
    args = {"paused by": before.pause.who} if before.pause.who else {}
    is_service = host.login_user() == host.spec.service_user
    shell = host.root if before.ends and not is_service else host.service
    with change(shell, "unpause", args):
        answer = call(shell, UNPAUSE_PROGRAM, UnpauseRequest(site_for(host.spec)))
    return PauseResult(answer.changed, before.pause, before.now_at, now=answer.now)
