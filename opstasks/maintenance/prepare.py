"""Preparing a host for a reboot, now or later: inspect, schedule, follow.

The work runs on the host as a systemd unit, at once or by a timer, so the client may go away at any
moment: it only follows the record of the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from opstasks.core import durations
from opstasks.core.errors import Lost, OpsError, Refused, TimedOut, Unreachable, VerifyFailed
from opstasks.core.fields import Line, Moment
from opstasks.core.hints import one_word
from opstasks.core.state import HostState
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.maintenance import prepare_own
from opstasks.maintenance.after import WAIT_S, check_after_reboot
from opstasks.maintenance.checklist import Checklist
from opstasks.maintenance.follow import follow, maintenance_of, wait_for_boot
from opstasks.maintenance.onhost.database import RunningJob
from opstasks.maintenance.onhost.records import (
    CANCELLED,
    PREPARE,
    READY,
    REFUSED,
    SCHEDULED,
    Pause,
    ScheduledItem,
    cancelled_before,
    not_restored,
)
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.schedule import ScheduleAnswer, schedule
from opstasks.maintenance.site import TIMEOUT_S, call, noted, site_for
from opstasks.primitives import systemd

_AT = re.compile(r"(\d{4}-\d{2}-\d{2} )?([01]?\d|2[0-3]):[0-5]\d", re.ASCII)
READY_STATE = "READY TO REBOOT"
REBOOTING_STATE, REBOOTED_STATE = "REBOOTING", "REBOOTED"
# The service account cannot pause the host until after the boot.
OWN_NOTE = "not paused: the boot starts the service, and the jobs begin again"
DISABLED_NOTE = "the service is disabled: the boot does not start it, and the jobs wait"
# How long the host waits for a change that holds its lock: at once, and when a timer starts it.
LOCK_WAIT_S, TIMED_LOCK_WAIT_S = 10.0, 600.0


@dataclass(frozen=True)
class RebootRequest:
    """The options of a preparation; `delay_s` 0 and no `at` mean now. Spans are in seconds."""

    delay_s: int = 0
    at: str = ""
    drain_s: int = 0
    reboot: bool = False
    keep_paused: bool = False
    why: str = ""
    replace: bool = False
    boot_wait_s: int = 600

    @property
    def needs_root(self) -> bool:
        """Whether it needs more than stopping the service and requeueing its jobs."""
        return bool(self.timed or self.drain_s or self.reboot or self.keep_paused or self.replace)

    @property
    def timed(self) -> bool:
        """Whether it is scheduled for later."""
        return bool(self.delay_s or self.at)


@dataclass(frozen=True)
class PrepareInspectRequest:
    """The time of a preparation: `at` in the host's zone, or after `delay_s` seconds."""

    site: Site
    at: str = ""
    delay_s: int = 0


@dataclass(frozen=True)
class RebootPlan:
    """The plan that is shown: when the host is prepared, and which jobs begin again.

    `due_there` is `due_at` in the host's zone. `problems` prevent the preparation; if there is
    one, nothing else is known. `scheduled` is the preparation that is scheduled already, `ready`
    the one that the host is prepared by. `dead` are those that ended without an outcome: this one
    takes their place. `own`: the service account prepares the host, with its own rights.
    """

    now_at: Moment
    due_at: Moment
    due_there: Line
    problems: tuple[Line, ...] = ()
    is_serving: bool = True
    is_enabled: bool = True
    is_paused: bool = False
    is_ready: bool = False
    jobs: tuple[RunningJob, ...] = ()
    scheduled: tuple[ScheduledItem, ...] = ()
    pause: Pause | None = None
    ready: ScheduledItem | None = None
    dead: tuple[ScheduledItem, ...] = ()
    own: bool = False


INSPECT = Program(
    "opstasks.maintenance.onhost.inspect", PrepareInspectRequest, RebootPlan, timeout_s=TIMEOUT_S
)


@dataclass(frozen=True)
class PrepareResult:
    """The outcome, or what was scheduled; `due_at` in seconds since the epoch."""

    changed: bool
    state: str
    id: str = ""
    due_at: float = 0.0
    due_there: str = ""
    requeued: tuple[str, ...] = ()
    note: str = ""
    checklist: Checklist | None = None
    now: HostState = field(default_factory=HostState)


@dataclass(frozen=True)
class ClaimsRequest:
    """The host whose state is read."""

    site: Site


@dataclass(frozen=True)
class ClaimsAnswer:
    """The present state of a host."""

    now: HostState


CLAIMS = Program("opstasks.maintenance.onhost.claims", ClaimsRequest, ClaimsAnswer)


def check_at(text: str) -> str:
    """A time of day, with or without a date; raises Refused for anything else."""
    text = text.strip().replace("T", " ")
    hint = "try 22:00 or '2026-12-01 22:00'"
    if not _AT.fullmatch(text):
        raise Refused(f"--at: {text!r} is not a time", hint=hint)
    text = re.sub(r"(?<!\d)\d:", lambda found: f"0{found[0]}", text)
    if len(text) > 5:
        try:
            datetime.strptime(text, "%Y-%m-%d %H:%M")
        except ValueError:
            raise Refused(f"--at: the date {text} does not exist", hint=hint) from None
    return text


# -- before the question ---------------------------------------------------------------------


def inspect(host: Host, request: RebootRequest, *, yes: bool) -> RebootPlan:
    """Plan a preparation; raises Refused when it cannot be done."""
    asked = PrepareInspectRequest(site_for(host.spec), request.at, request.delay_s)
    own = prepare_own.is_own(host, needs_root=request.needs_root)
    plan = call(host.service if own else host.root, INSPECT, asked)
    check(host, request, plan, yes=yes)
    return replace(plan, own=own)


def check(host: Host, request: RebootRequest, plan: RebootPlan, *, yes: bool) -> None:
    """Raise Refused for a preparation that cannot be done, or that needs `yes`."""
    if plan.problems:
        raise Refused(
            "it cannot be prepared: " + "; ".join(plan.problems),
            host=host.name,
            hint=systemd.hint_for(host.spec.unit, plan.problems[0], f"inv -H {host.name} status"),
        )
    durations.check_sure(plan.due_at - plan.now_at, request.at, yes=yes or bool(request.delay_s))
    if plan.scheduled and not request.replace:
        item = plan.scheduled[0]
        raise Refused(
            f"scheduled already by {item.who} for {item.due_there} ({item.id})"
            + (f": {item.why}" if item.why else ""),
            host=host.name,
            hint="add --replace, or cancel it:"
            f" inv -H {host.name} scheduled.cancel {one_word(item.id)}",
        )


def new_item(host: Host, request: RebootRequest, due_at: float) -> ScheduledItem:
    """The client's part of the record of the work; the host adds to it."""
    return ScheduledItem(
        id=audit.new_run_id(),
        host=host.name,
        kind=PREPARE,
        who=audit.who(),
        why=request.why,
        due_at=float(int(due_at)),
        timed=request.timed,
        delay_s=float(request.delay_s),
        drain_s=float(request.drain_s),
        reboot=request.reboot,
        keep_paused=request.keep_paused,
        lock_wait_s=TIMED_LOCK_WAIT_S if request.timed else LOCK_WAIT_S,
    )


# -- later -----------------------------------------------------------------------------------


def apply_later(host: Host, request: RebootRequest, plan: RebootPlan) -> PrepareResult:
    """Schedule the work on the host for the time that was shown."""
    item = new_item(host, request, plan.due_at)
    recorded = {"what": PREPARE, "at": plan.due_there, "id": item.id, "why": request.why}
    with change(host.root, "scheduled.add", {k: v for k, v in recorded.items() if v}):
        done = _schedule(host, item, replace=request.replace)
    item = done.item
    return PrepareResult(True, SCHEDULED, item.id, item.due_at, item.due_there, now=done.now)


def _schedule(host: Host, item: ScheduledItem, *, replace: bool) -> ScheduleAnswer:
    return schedule(host.root, item, replace=replace, hint=f"inv -H {host.name} scheduled")


# -- now -------------------------------------------------------------------------------------


def apply_now(host: Host, request: RebootRequest, plan: RebootPlan) -> PrepareResult:
    """Prepare now and follow it to its end; with `reboot`, through the boot as well.

    Raises Refused or VerifyFailed when the host is not ready.
    """
    if plan.own:
        done = prepare_own.apply(host, request.why)
        note = OWN_NOTE if plan.is_enabled else DISABLED_NOTE
        return PrepareResult(
            done.changed, READY_STATE, requeued=done.requeued, note=note, now=done.now
        )
    if plan.is_ready and not request.reboot:
        # The operator needed time to answer: the host may have been rebooted since.
        now = read_claims(host)
        if now.prepared:
            note = f"prepared already by {plan.ready.who}" if plan.ready else ""
            return PrepareResult(False, READY_STATE, note=note, now=now)
    new = new_item(host, request, plan.now_at)
    with noted(host, PREPARE, new.id, {"why": request.why}):
        with host.changing():
            begun = _schedule(host, new, replace=request.replace).item
        item = follow(host, new.id)
        if not (request.reboot and item.outcome == READY):
            now = _claims_after(host, item)
            check_outcome(host, item, now)
    if not request.reboot:
        return PrepareResult(True, READY_STATE, item.id, requeued=item.requeued, now=now)
    if host.spec.local:
        note = "run after-reboot"
        return PrepareResult(True, REBOOTING_STATE, item.id, requeued=item.requeued, note=note)
    host.step("wait for the host to come back", "back", request.boot_wait_s)
    wait_for_boot(host, begun.boot_id, request.boot_wait_s, lambda: _check_ready(host, new.id))
    host.step("check that everything is up again", "checklist", WAIT_S)
    checklist = check_after_reboot(host)
    now = read_claims(host)
    return PrepareResult(
        True, REBOOTED_STATE, item.id, requeued=item.requeued, checklist=checklist, now=now
    )


def _check_ready(host: Host, id: str) -> None:
    """Raise VerifyFailed if the host called its reboot off."""
    item = next((item for item in maintenance_of(host).items if item.id == id), None)
    if item is not None and item.outcome != READY:
        check_outcome(host, item, _claims_after(host, item))


def read_claims(host: Host) -> HostState:
    """The present state of the host."""
    return host.root.call(CLAIMS, ClaimsRequest(site_for(host.spec))).now


def _claims_after(host: Host, item: ScheduledItem) -> HostState:
    """The state after the work; raises Lost when it cannot be read: the work has changed it."""
    try:
        return read_claims(host)
    except (Unreachable, TimedOut) as error:
        raise Lost(
            f"{item.id} ended: {item.outcome}; then the connection was lost: {error.message}",
            host=host.name,
            hint=f"inv -H {host.name} scheduled",
        ) from error


def check_outcome(host: Host, item: ScheduledItem, now: HostState) -> None:
    """Raise an error with the outcome, unless the host is ready now: it was read after the work.

    Refused if nothing was touched, and no other preparation was cancelled. The host may have been
    rebooted since, or taken into service.
    """
    error = _ending(host, item, now)
    if error is not None:
        error.now = now
        raise error


def _ending(host: Host, item: ScheduledItem, now: HostState) -> OpsError | None:
    details = {"host": host.name, "tail": item.detail, "hint": f"inv -H {host.name} status"}
    if item.outcome == READY:
        return _not_ready(host, item, now)
    # Before this step it only looks; afterwards it pauses.
    is_untouched = [step.text for step in item.steps[2:]] == []
    is_refused = item.outcome == REFUSED or (item.outcome == CANCELLED and is_untouched)
    if is_refused and not item.replaced:
        return Refused(f"{item.outcome}: {item.reason}", **details)
    look = "scheduled --all; it shows what was cancelled: schedule that again if it is still wanted"
    details["hint"] = restoring_hint(host, item, now, look if item.replaced else "status")
    texts = (f"{item.outcome}: {item.reason}", not_restored(item), cancelled_before(item))
    return VerifyFailed("; ".join(filter(None, texts)), **details)


def restoring_hint(host: Host, item: ScheduledItem, now: HostState, task: str = "status") -> str:
    """What brings the host back to the state before the work, from what was read of it.

    `task` is the hint if nothing is known to be left.
    """
    is_down = now.service in ("stopped", "failed") and item.was_active
    is_paused = now.paused and item.paused_by_us
    task = "service.start" if is_down else "unpause" if is_paused else task
    return f"inv -H {host.name} {task}"


def _not_ready(host: Host, item: ScheduledItem, now: HostState) -> OpsError | None:
    """The error for a host that was ready, but is not any more."""
    hint = f"inv -H {host.name} after-reboot"
    if now.boot_id is not None and now.boot_id != item.boot_id:
        text = "it was prepared, and has been rebooted since"
        return VerifyFailed(text, host=host.name, hint=hint)
    if now.prepared is False:
        text = "it was prepared, but somebody has changed that since"
        return VerifyFailed(text, host=host.name, hint=f"inv -H {host.name} history --since 1h")
    return None
