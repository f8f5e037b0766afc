"""Cancelling work that is scheduled on a host."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from opstasks.core.errors import Refused, VerifyFailed
from opstasks.core.hints import one_word
from opstasks.core.state import HostState
from opstasks.fleet import audit
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.maintenance.onhost.records import UNPAUSE, ScheduledItem, not_restored
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.prepare import restoring_hint
from opstasks.maintenance.records import READ, MaintenanceRequest
from opstasks.maintenance.site import TIMEOUT_S, call, noted, site_for

_ID = re.compile(r"[0-9A-Za-z-]{0,40}")


@dataclass(frozen=True)
class CancelRequest:
    """Which item, by its id, and texts for the audit."""

    site: Site
    id: str
    run_id: str
    who: str
    why: str = ""


@dataclass(frozen=True)
class CancelResult:
    """The item that was cancelled, or was already over; None when nothing was scheduled."""

    changed: bool
    item: ScheduledItem | None = None
    now: HostState = field(default_factory=HostState)


CANCEL = Program(
    "opstasks.maintenance.onhost.cancel",
    CancelRequest,
    CancelResult,
    timeout_s=TIMEOUT_S,
    changes=True,
)


@dataclass(frozen=True)
class CancelChoice:
    """What an id, or its beginning, can mean on a host; without an id, all that has no end yet.

    `over` is work that has ended; it is searched only for an id.
    """

    items: tuple[ScheduledItem, ...]
    over: tuple[ScheduledItem, ...] = ()

    @property
    def has_only_ends(self) -> bool:
        """Whether nothing but ends of pauses could be cancelled: these must be named."""
        return bool(self.items) and all(item.kind == UNPAUSE for item in self.items)


def inspect(host: Host, id: str) -> CancelChoice:
    """What could be cancelled on a host, in one round trip; raises Refused for an invalid id."""
    check_id(host, id)
    found = host.service.call(READ, MaintenanceRequest(site_for(host.spec)))
    if not id:
        return CancelChoice(found.unfinished())
    named = [item for item in found.items if is_meant(item.id, id)]
    exact = [item for item in named if item.id == id]
    named = exact or named
    return CancelChoice(
        tuple(item for item in named if not item.outcome),
        tuple(item for item in named if item.outcome),
    )


def is_meant(id: str, typed: str) -> bool:
    """Whether somebody means this id: its beginning, or the beginning of its last part."""
    return id.startswith(typed) or id.rpartition("-")[2].startswith(typed)


def check_id(host: Host, id: str) -> None:
    """Raise Refused for an invalid id."""
    if not _ID.fullmatch(id):
        raise Refused(f"invalid id {id!r}", host=host.name, hint=f"inv -H {host.name} scheduled")


def cancel(host: Host, id: str, why: str) -> CancelResult:
    """Cancel one piece of work; raises Refused after the point of no return.

    Raises VerifyFailed when a preparation that was killed could not be undone.

    The host's lock is not taken: work that waits for jobs to end holds it, but must still be
    cancellable. The host's program reads the record, stops the unit and reads again.
    """
    check_id(host, id)
    request = CancelRequest(site_for(host.spec), id, audit.new_run_id(), audit.who(), why)
    recorded = {"id": id, "why": why}
    hint = f"inv -H {host.name} scheduled"
    with noted(host, "scheduled.cancel", request.run_id, recorded) as ended, host.changing():
        result = call(host.root, CANCEL, request, hint=hint)
        ended.outcome = "changed" if result.changed else "ok"
        check_restored(host, id, result)
    return result


def check_restored(host: Host, id: str, result: CancelResult) -> None:
    """Raise VerifyFailed if something is left of a preparation: its record is still open."""
    item = result.item
    if item is None or item.outcome:
        return
    again = f"scheduled.cancel {one_word(id)}"
    error = VerifyFailed(
        not_restored(item) or f"{item.id} is not closed",
        host=host.name,
        hint=restoring_hint(host, item, result.now, again),
    )
    error.now = result.now
    raise error
