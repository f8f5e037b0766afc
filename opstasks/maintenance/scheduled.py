"""What a host will do by itself, and the outcome of past work: the rows of `scheduled`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from opstasks.fleet.host import Host
from opstasks.maintenance.records import READ, Maintenance, MaintenanceRequest
from opstasks.maintenance.site import site_for


@dataclass(frozen=True)
class ScheduledRow:
    """One piece of work; `due_at` in epoch seconds, `in_s` from now (negative: in the past)."""

    id: str
    what: str
    state: str
    due_at: float
    when: str
    in_s: int
    who: str
    why: str
    reboot: bool
    outcome: str


def inspect(host: Host, limit: int) -> list[ScheduledRow]:
    """The rows of a host, with at most `limit` past ones."""
    return rows(host.service.call(READ, MaintenanceRequest(site_for(host.spec))), limit)


def rows(found: Maintenance, limit: int) -> list[ScheduledRow]:
    """Scheduled work first, then ends without a pause, then the newest past work."""
    ahead = [*found.open(), *found.obsolete()]
    past = [item for item in found.items if item not in ahead]
    return [
        ScheduledRow(
            id=item.id,
            what=item.kind,
            state=found.state(item),
            due_at=item.due_at,
            when=item.due_there,
            in_s=round(item.due_at - found.now_at),
            who=item.who,
            why=item.why,
            reboot=item.reboot,
            outcome=found.reason(item),
        )
        for item in [*ahead, *past[:limit]]
    ]


def due_text(due_at: float, there: str) -> str:
    """A time for people: in the host's zone, and in ours if that differs."""
    here = f"{datetime.fromtimestamp(due_at, UTC).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    return there if here == there else f"{there} ({here} here)"
