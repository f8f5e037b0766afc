"""What a host will do by itself, and the outcome of past work: the rows of `scheduled`."""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.fleet.host import Host
from opstasks.maintenance.onhost.records import ScheduledItem
from opstasks.maintenance.records import (
    READ,
    UNREADY_S,
    Maintenance,
    MaintenanceRequest,
    UnreadableRecord,
)
from opstasks.maintenance.site import site_for


@dataclass(frozen=True)
class ScheduledRow:
    """One piece of work; `is_past`: nothing happens by itself any more, and nobody is needed.

    Moments are in seconds since the epoch, 0 for "not yet". `due_there` is `due_at` in the host's
    zone, for people. `what` is the task: prepare-reboot, or unpause for the end of a pause.
    """

    id: str
    what: str
    reboot: bool
    state: str
    due_at: float
    due_there: str
    ended_at: float
    who: str
    why: str
    reason: str
    is_past: bool


@dataclass(frozen=True)
class HostSchedule:
    """The work of a host: what is ahead or needs a person first, then past work, newest first.

    `past` is the number of past ones, also of those that are not in `items`. `unreadable` are
    records that cannot be read: they may be of work that is ahead.
    """

    items: tuple[ScheduledRow, ...]
    past: int = 0
    unreadable: tuple[UnreadableRecord, ...] = ()


def inspect(host: Host, limit: int) -> HostSchedule:
    """The work of a host, with at most `limit` past ones; -1 for all."""
    return schedule_of(host.service.call(READ, MaintenanceRequest(site_for(host.spec))), limit)


def schedule_of(found: Maintenance, limit: int) -> HostSchedule:
    """Work that is ahead, then work that needs a person, then past work, newest first."""
    ahead = list(found.open())
    ahead += [i for i in found.items if i not in ahead and _is_wanted(found, i)]
    past = [item for item in found.items if item not in ahead]
    shown = past if limit < 0 else past[:limit]
    rows = [_row(found, item, is_past=False) for item in ahead]
    rows += [_row(found, item, is_past=True) for item in shown]
    return HostSchedule(tuple(rows), len(past), found.unreadable)


def _is_wanted(found: Maintenance, item: ScheduledItem) -> bool:
    """Whether work that is not ahead needs a person: it has no end, or it failed today."""
    if not item.outcome:
        return True
    return item == found.unready() and found.age_s(item) < UNREADY_S


def _row(found: Maintenance, item: ScheduledItem, *, is_past: bool) -> ScheduledRow:
    return ScheduledRow(
        id=item.id,
        what=item.kind,
        reboot=item.reboot,
        state=found.state(item),
        due_at=item.due_at,
        due_there=item.due_there,
        ended_at=item.finished_at,
        who=item.who,
        why=item.why,
        reason=found.cause(item),
        is_past=is_past,
    )
