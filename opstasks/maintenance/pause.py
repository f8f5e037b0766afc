"""Pausing and unpausing new jobs, with job-runner's own flag (playbook: "Pausing new jobs")."""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.core.errors import CommandFailed
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.maintenance.onhost.records import NO_DATABASE, UNPAUSE, Pause, ScheduledItem
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.records import READ, MaintenanceRequest
from opstasks.maintenance.schedule import schedule
from opstasks.maintenance.site import TIMEOUT_S, call, site_for

# How long the end of a pause waits for a change that holds the host's lock.
LOCK_WAIT_S = 600.0


@dataclass(frozen=True)
class PauseRequest:
    """Who pauses and why; `until_at` is when the pause ends, `id` the item that ends it."""

    site: Site
    who: str
    why: str = ""
    until_at: float = 0.0
    id: str = ""


@dataclass(frozen=True)
class PauseAnswer:
    """The present pause."""

    changed: bool
    pause: Pause


@dataclass(frozen=True)
class UnpauseRequest:
    """The host to unpause."""

    site: Site


@dataclass(frozen=True)
class UnpauseAnswer:
    """Whether the host was paused."""

    changed: bool


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
    """The present pause, or the one that was ended; `now_at` is the host's time (epoch seconds)."""

    changed: bool
    pause: Pause | None = None
    now_at: float = 0.0


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
    return PauseResult(False, found.pause, found.now_at)


def pause(host: Host, *, why: str = "", for_s: int = 0) -> PauseResult:
    """Pause; with `for_s` the host unpauses by itself after so many seconds.

    A pause that exists already gets the new reason or end; without either, nothing is done.
    """
    before = inspect(host)
    if before.pause and not why and not for_s:
        return before
    args = {"why": why, "for": f"{for_s} s" if for_s else ""}
    # Only a timer needs root.
    shell = host.root if for_s else host.service
    with change(shell, "pause", {k: v for k, v in args.items() if v}):
        request = PauseRequest(site_for(host.spec), audit.who(), why)
        if for_s:
            why = why or (before.pause.why if before.pause else "")
            end = schedule(shell, _end(host, for_s, why), replace=False)
            request = PauseRequest(
                request.site, request.who, request.why, until_at=end.due_at, id=end.id
            )
        answer = call(host.service, PAUSE, request)
    return PauseResult(answer.changed, answer.pause, before.now_at)


def _end(host: Host, for_s: int, why: str) -> ScheduledItem:
    """The end of a pause. It is scheduled first: a timer without its pause does nothing."""
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
    """Unpause, no matter who paused; a scheduled end then has nothing to do."""
    before = inspect(host)
    if before.pause is None:
        return before
    args = {"paused by": before.pause.who} if before.pause.who else {}
    with change(host.service, "unpause", args):
        answer = call(host.service, UNPAUSE_PROGRAM, UnpauseRequest(site_for(host.spec)))
    return PauseResult(answer.changed, before.pause, before.now_at)
