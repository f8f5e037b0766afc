"""Scheduling work on a host: it runs by itself, without a connection or a client."""

from __future__ import annotations

from dataclasses import dataclass, field

from opstasks.core.state import HostState
from opstasks.fleet.host import Shell
from opstasks.fleet.program import Program
from opstasks.maintenance.onhost.records import ScheduledItem
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.site import TIMEOUT_S, call, site_for


@dataclass(frozen=True)
class ScheduleRequest:
    """The work, and whether it replaces a preparation that is scheduled already."""

    site: Site
    item: ScheduledItem
    replace: bool = False


@dataclass(frozen=True)
class ScheduleAnswer:
    """The record of the work as the host wrote it, and the state of the host then."""

    item: ScheduledItem
    now: HostState = field(default_factory=HostState)


SCHEDULE = Program(
    "opstasks.maintenance.onhost.schedule",
    ScheduleRequest,
    ScheduleAnswer,
    timeout_s=TIMEOUT_S,
    changes=True,
)


def schedule(shell: Shell, item: ScheduledItem, *, replace: bool, hint: str = "") -> ScheduleAnswer:
    """Schedule a preparation, or start it at once if it is not `timed`; returns its record.

    Raises Refused when it cannot be done, or another preparation is scheduled.
    """
    request = ScheduleRequest(site_for(shell.host.spec), item, replace)
    return call(shell, SCHEDULE, request, hint=hint)
