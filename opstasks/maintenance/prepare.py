"""Preparing a host for a reboot: look, arm, follow.

The work runs on the host as a systemd unit, now or by a timer, so the client may go away at any
moment: it only follows what the host's record says.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from opstasks.core import durations
from opstasks.core.command import cmd
from opstasks.core.errors import (
    CommandFailed,
    Interrupted,
    Lost,
    Refused,
    TimedOut,
    Unreachable,
    VerifyFailed,
)
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.maintenance import records
from opstasks.maintenance import site as sites
from opstasks.maintenance.after import Checklist, look_after
from opstasks.maintenance.records import PREPARE, Item

AT = re.compile(r"(\d{4}-\d{2}-\d{2} )?([01]\d|2[0-3]):[0-5]\d", re.ASCII)
# How long the host waits for whoever is changing it: at once, or when the timer fires.
LOCK_WAIT_S, TIMED_LOCK_WAIT_S = 10, 600
POLL_S = 1.0
# How long a lost connection may be away before the client gives up following.
AWAY_S = 120.0
# How long it may take to read the record, before the connection counts as lost.
LISTEN_S = 10.0


@dataclass(frozen=True)
class Wish:
    """What is asked for; `delay_s` 0 and no `at` mean now."""

    delay_s: int = 0
    at: str = ""
    drain_s: int = 0
    reboot: bool = False
    keep_paused: bool = False
    why: str = ""
    replace: bool = False
    boot_wait_s: int = 600

    @property
    def timed(self) -> bool:
        """Whether it is for later."""
        return bool(self.delay_s or self.at)


@dataclass(frozen=True)
class Running:
    """A job that would lose its work."""

    id: str
    workspace: str
    action: str
    started: float


@dataclass(frozen=True)
class View:
    """A host before the question: when it would be, and what it would cost."""

    now: float
    due: float
    due_there: str
    serving: bool = True
    enabled: bool = True
    paused: bool = False
    ready: bool = False
    jobs: tuple[Running, ...] = ()
    armed: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How it ended, or what was armed; `due` in seconds since the epoch."""

    changed: bool
    state: str
    id: str = ""
    due: float = 0.0
    due_there: str = ""
    requeued: tuple[str, ...] = ()
    note: str = ""
    checklist: Checklist | None = field(default=None)


def check_at(text: str) -> str:
    """A time of day or a date with one; raises Refused."""
    text = text.strip().replace("T", " ")
    if not AT.fullmatch(text):
        raise Refused(f"{text!r} is no time", hint="try 22:00 or '2026-12-01 22:00'")
    if len(text) > 5:
        try:
            datetime.strptime(text, "%Y-%m-%d %H:%M")
        except ValueError:
            raise Refused(f"there is no {text}", hint="try '2026-12-01 22:00'") from None
    return text


# -- looking ---------------------------------------------------------------------------------


def look(host: Host, wish: Wish, *, yes: bool) -> View:
    """Look at a host; raises Refused when it could not be prepared."""
    found = sites.ask(host.root, "look", at=wish.at, delay_s=wish.delay_s)
    if found["problems"]:
        raise Refused(
            "it cannot be prepared: " + "; ".join(found["problems"]),
            host=host.name,
            hint=f"inv -H {host.name} status",
        )
    durations.check_sure(found["due"] - found["now"], wish.at, yes=yes or bool(wish.delay_s))
    armed = tuple(records.item_of(record) for record in found["armed"])
    if armed and not wish.replace:
        raise _armed_already(host, armed[0])
    return View(
        now=found["now"],
        due=found["due"],
        due_there=found["due_there"],
        serving=found["serving"],
        enabled=found["enabled"],
        paused=bool(found["paused"]),
        ready=found["ready"],
        jobs=tuple(_running(job) for job in found["jobs"]),
        armed=armed,
    )


def _running(job: dict[str, Any]) -> Running:
    id, workspace, action = (str(job[name] or "") for name in ("id", "workspace", "action"))
    return Running(id, workspace, action, float(job["started_at"] or 0))


def _armed_already(host: Host, item: Item) -> Refused:
    return Refused(
        f"armed already by {item.who} for {item.due_there} ({item.id})",
        host=host.name,
        hint=f"add --replace, or take it away: inv -H {host.name} scheduled.cancel {item.id}",
    )


# -- later -----------------------------------------------------------------------------------


def arm(host: Host, wish: Wish, view: View) -> Outcome:
    """Arm the work on the host for the time that was shown."""
    record = new_record(host, wish, view.due)
    told = {"what": PREPARE, "at": view.due_there, "id": record["id"], "why": wish.why}
    with change(host.root, "scheduled.add", {k: v for k, v in told.items() if v}):
        item = _send(host, record, replace=wish.replace)
    return Outcome(True, "armed", item.id, item.due, item.due_there)


def new_record(host: Host, wish: Wish, due: float) -> dict[str, Any]:
    """What the host is told of the work; it adds to it as it goes."""
    return {
        "id": audit.new_run_id(),
        "host": host.name,
        "kind": PREPARE,
        "who": audit.who(),
        "why": wish.why,
        "due": int(due),
        "timed": wish.timed,
        "delay_s": wish.delay_s,
        "drain_s": wish.drain_s,
        "reboot": wish.reboot,
        "keep_paused": wish.keep_paused,
        "lock_wait_s": TIMED_LOCK_WAIT_S if wish.timed else LOCK_WAIT_S,
    }


def _send(host: Host, record: dict[str, Any], *, replace: bool) -> Item:
    answer = sites.ask(
        host.root,
        "arm",
        record=record,
        replace=replace,
        script=sites.own_text(),
        hint=f"inv -H {host.name} scheduled",
    )
    return records.item_of(answer["record"])


# -- now -------------------------------------------------------------------------------------


def run(host: Host, wish: Wish, view: View) -> Outcome:
    """Prepare now and follow it to its end; with `reboot` through the boot as well."""
    if view.ready and not wish.reboot:
        return Outcome(False, "READY TO REBOOT", note="prepared already")
    record = new_record(host, wish, view.now)
    with sites.noted(host, PREPARE, record["id"], {"why": wish.why}):
        before = boot_id(host)
        with host.changing():
            _send(host, record, replace=wish.replace)
        item = follow(host, record["id"])
        _judge(host, item)
    outcome = Outcome(True, "READY TO REBOOT", item.id, requeued=item.requeued)
    if not wish.reboot:
        return outcome
    if host.spec.local:
        return Outcome(True, "REBOOTING", item.id, requeued=item.requeued, note="run after-reboot")
    host.step("wait for the host to come back")
    _wait_for_boot(host, before, wish.boot_wait_s)
    checklist = look_after(host)
    return Outcome(True, "REBOOTED", item.id, requeued=item.requeued, checklist=checklist)


def follow(host: Host, id: str) -> Item:
    """Tell each step as the host's record gets it; returns the record at its end.

    A connection that is lost is made anew; the work does not depend on it.
    """
    told = 0
    gone_since = 0.0
    while True:
        try:
            question = records.read_command(host.spec).within(LISTEN_S)
            found = records.parse(host.root.output(question))
            gone_since = 0.0
        except (Unreachable, Lost, TimedOut) as error:
            gone_since = gone_since or time.monotonic()
            if time.monotonic() - gone_since > AWAY_S:
                raise _lost(host, id) from error
            host.close()
            host.pause(2 * POLL_S)
            found = None
        item = next((i for i in found.items if i.id == id), None) if found else None
        if item is not None and found is not None:
            for _, text in item.steps[told:]:
                host.step(text)
            told = len(item.steps)
            if item.outcome:
                return item
            if found.state(item) not in records.OPEN_STATES:
                raise _broke_off(host, found.why_so(item))
        _checkpoint(host, id)
        host.pause(POLL_S)


def _checkpoint(host: Host, id: str) -> None:
    where = (
        f"the host goes on by itself; `inv -H {host.name} scheduled` tells how,"
        f" `scheduled.cancel {id}` stops it while it waits for jobs"
    )
    try:
        host.checkpoint(where)
    except Interrupted as stopped:
        stopped.message = f"no longer following; {where}"
        raise


def _lost(host: Host, id: str) -> Lost:
    return Lost(
        f"connection lost while {id} was under way; the host goes on by itself",
        host=host.name,
        hint=f"inv -H {host.name} scheduled",
    )


def _broke_off(host: Host, why: str) -> CommandFailed:
    return CommandFailed(
        f"it broke off: {why}", returned=1, host=host.name, hint=f"inv -H {host.name} status"
    )


def _judge(host: Host, item: Item) -> None:
    """Raise what became of it, unless the host is ready."""
    if item.outcome == "ready":
        return
    details = {"host": host.name, "tail": item.detail, "hint": f"inv -H {host.name} status"}
    if item.outcome in ("refused", "cancelled"):
        raise Refused(f"{item.outcome}: {item.reason}", **details)
    back = "the host went back to where it was"
    if item.left:
        back = f"and going back failed: {'; '.join(item.left)}"
    raise VerifyFailed(f"{item.reason}; {back}", **details)


# -- the boot --------------------------------------------------------------------------------


def boot_id(host: Host) -> str:
    """The kernel's name for the present boot."""
    return host.root.output(cmd("cat", "/proc/sys/kernel/random/boot_id"))


def _wait_for_boot(host: Host, before: str, limit_s: int) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        host.close()
        host.pause(2 * POLL_S)
        host.checkpoint(f"the host is rebooting; then `inv -H {host.name} after-reboot`")
        try:
            if boot_id(host) != before:
                return
        except (Unreachable, Lost, TimedOut):
            continue
    raise VerifyFailed(
        f"it was prepared and told to reboot, but no new boot was seen within {limit_s} s",
        host=host.name,
        hint=f"inv -H {host.name} after-reboot",
    )


def when(due: float, there: str) -> str:
    """A time for people: the host's words for it, and ours where they differ."""
    here = f"{datetime.fromtimestamp(due, UTC).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    return there if here == there else f"{there} ({here} here)"
