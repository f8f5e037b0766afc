"""Cancelling work that is scheduled on a host."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from opstasks.core.errors import Refused
from opstasks.core.state import HostState
from opstasks.fleet import audit
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.maintenance.onhost.records import ScheduledItem
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.records import READ, MaintenanceRequest
from opstasks.maintenance.site import TIMEOUT_S, call, noted, site_for

_ID = re.compile(r"[0-9A-Za-z-]{0,40}")


@dataclass(frozen=True)
class CancelRequest:
    """Which item (its id, the beginning of it, or "" for the only one), and texts for the audit."""

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


def inspect(host: Host, id: str) -> list[ScheduledItem]:
    """The items that an id, or its beginning, matches; without an id, all without an outcome.

    Raises Refused for an invalid id.
    """
    check_id(host, id)
    found = host.service.call(READ, MaintenanceRequest(site_for(host.spec)))
    if id:
        return [item for item in found.items if not item.outcome and item.id.startswith(id)]
    return list(found.unfinished())


def check_id(host: Host, id: str) -> None:
    """Raise Refused for an invalid id."""
    if not _ID.fullmatch(id):
        raise Refused(f"invalid id {id!r}", host=host.name, hint=f"inv -H {host.name} scheduled")


def cancel(host: Host, id: str, why: str) -> CancelResult:
    """Cancel one piece of work; raises Refused after the point of no return.

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
    return result
