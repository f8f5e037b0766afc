"""Pausing and unpausing new jobs, with job-runner's own flag (playbook: "Pausing new jobs")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from opstasks.core.errors import CommandFailed, Refused
from opstasks.core.formats import minute_text, span_text
from opstasks.core.hints import one_word
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

PauseAction = Literal["nothing", "pause", "change", "replace"]
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
    """The host to unpause; `seen_at` is the time of the flag that the person saw."""

    site: Site
    seen_at: float = 0.0


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
class PauseFacts:
    """The present pause of a host, None if there is none; `now_at` is the host's own clock.

    `ends` are the ids of the scheduled ends of pauses.
    """

    pause: Pause | None = None
    now_at: float = 0.0
    ends: tuple[str, ...] = ()
    now: HostState = field(default_factory=HostState)

    @property
    def is_others(self) -> bool:
        """Whether somebody else paused, or somebody unknown by hand."""
        return self.pause is not None and self.pause.who != audit.who()


@dataclass(frozen=True)
class PausePlan:
    """What `pause` does: "replace" ends a pause that is there, "change" keeps what is not named.

    `until_at` is the end of the new pause by the host's clock, 0 for none; `for_s` is 0 where the
    end is not named.
    """

    action: PauseAction
    before: PauseFacts
    why: str = ""
    for_s: int = 0
    until_at: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether something is to be done."""
        return self.action != "nothing"

    @property
    def taken(self) -> Pause | None:
        """The pause of somebody else, or of a preparation for a reboot, that this one replaces."""
        found = self.before.pause
        return found if self.action == "replace" and found and not is_own(found) else None


@dataclass(frozen=True)
class PauseResult:
    """The present pause; `before` is the one that was ended or replaced.

    `now_at` is the host's own clock.
    """

    changed: bool
    pause: Pause | None = None
    now_at: float = 0.0
    before: Pause | None = None
    now: HostState = field(default_factory=HostState)


def is_own(pause: Pause) -> bool:
    """Whether the person may change a pause without a word about somebody else."""
    return pause.who == audit.who() and pause.task != PREPARE


def inspect(host: Host) -> PauseFacts:
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
    return PauseFacts(found.pause, found.now_at, ends, now)


# -- pause -----------------------------------------------------------------------------------


def plan(host: Host, *, why: str = "", for_s: int = 0, replace: bool = False) -> PausePlan:
    """Look at a host and plan a pause; with `for_s` the host unpauses by itself after that.

    One's own pause gets the new reason or end; without either, nothing is done. Raises Refused for
    the pause of somebody else, unless it is to be replaced.
    """
    before = inspect(host)
    found = before.pause
    until_at = before.now_at + for_s if for_s else 0.0
    if found is None:
        return PausePlan("pause", before, why, for_s, until_at)
    if replace:
        return PausePlan("replace", before, why, for_s, until_at)
    if not (why or for_s):
        return PausePlan("nothing", before, found.why, 0, found.until_at)
    if not is_own(found):
        raise _refusal(host, found, why, for_s)
    return PausePlan("change", before, why or found.why, for_s, until_at or found.until_at)


def _refusal(host: Host, pause: Pause, why: str, for_s: int) -> Refused:
    """The error for a pause that is not ours: its owner relies on its reason and its end."""
    until = f", until {minute_text(pause.until_at)}" if pause.until_at else ""
    words = [f"--reason {one_word(why)}"] if why else []
    words += [f"--for {span_text(for_s)}"] if for_s else []
    return Refused(
        f"paused already by {pause.who or 'someone, by hand'} since {minute_text(pause.since_at)}"
        f"{until}" + (f": {pause.why}" if pause.why else ""),
        host=host.name,
        hint=f"ask that person, or make it yours: inv -H {host.name} pause --replace"
        f" {' '.join(words)}",
    )


def pause(host: Host, plan: PausePlan) -> PauseResult:
    """Pause as planned; raises Refused if somebody has paused or unpaused since then."""
    before, found = plan.before, plan.before.pause
    if not plan.changed:
        return PauseResult(False, found, before.now_at, now=before.now)
    was = found if plan.action == "replace" else None
    args = {
        "why": plan.why,
        "for": f"{plan.for_s} s" if plan.for_s else "",
        "replaces": _told(was),
    }
    # A timer is root's.
    shell = host.root if plan.for_s or (was and before.ends) else host.service
    request = PauseRequest(
        site_for(host.spec),
        audit.who(),
        plan.why,
        seen_at=found.flag_at if found else 0.0,
        replace=plan.action == "replace",
        end=_end(host, plan.for_s, plan.why) if plan.for_s else None,
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


# -- unpause ---------------------------------------------------------------------------------


def unpause(host: Host, before: PauseFacts) -> PauseResult:
    """End the pause that was seen, no matter whose it is; a scheduled end is cancelled.

    The service account cannot do that: then the end does nothing at its time.
    """
    if before.pause is None:
        return PauseResult(False, None, before.now_at, now=before.now)
    args = {"paused by": before.pause.who} if before.pause.who else {}
    is_service = host.login_user() == host.spec.service_user
    shell = host.root if before.ends and not is_service else host.service
    with change(shell, "unpause", args):
        request = UnpauseRequest(site_for(host.spec), before.pause.flag_at)
        answer = call(shell, UNPAUSE_PROGRAM, request)
    return PauseResult(answer.changed, None, before.now_at, before=before.pause, now=answer.now)
