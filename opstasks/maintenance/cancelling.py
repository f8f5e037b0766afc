"""Taking away what a host has armed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from opstasks.core.errors import Refused
from opstasks.fleet import audit
from opstasks.fleet.host import Host
from opstasks.maintenance import records
from opstasks.maintenance import site as sites
from opstasks.maintenance.records import Item

_ID = re.compile(r"[0-9A-Za-z-]{0,40}")


@dataclass(frozen=True)
class Outcome:
    """What was taken away; None when there was nothing."""

    changed: bool
    item: Item | None = None


def candidates(host: Host, id: str) -> list[Item]:
    """What an id, or its beginning, may mean; without one, what `scheduled` shows as to come.

    Raises Refused for what can be no id.
    """
    check_id(host, id)
    found = records.parse(host.service.output(records.read_command(host.spec)))
    if id:
        return [item for item in found.items if not item.outcome and item.id.startswith(id)]
    return [*found.open(), *found.dropped()]


def check_id(host: Host, id: str) -> None:
    """Raise Refused for what can be no id."""
    if not _ID.fullmatch(id):
        raise Refused(f"{id!r} is no id", host=host.name, hint=f"inv -H {host.name} scheduled")


def cancel(host: Host, id: str, why: str) -> Outcome:
    """Cancel one piece of work; raises Refused when it is past the point of return.

    The host's lock is not taken: work that waits for jobs to end holds it and must still be
    stoppable. The host's script looks, stops and looks again.
    """
    check_id(host, id)
    hint = f"inv -H {host.name} scheduled"
    words = {"id": audit.new_run_id(), "who": audit.who(), "why": why}
    told = {"id": id, "why": why}
    with sites.noted(host, "scheduled.cancel", words["id"], told) as ended, host.changing():
        answer = sites.ask(host.root, "cancel", id=id, audit=words, hint=hint)
        ended.outcome = "changed" if answer["changed"] else "ok"
    item = records.item_of(answer["record"]) if answer["record"] else None
    return Outcome(answer["changed"], item)
