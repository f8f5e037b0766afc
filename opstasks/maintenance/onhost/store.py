"""Runs on the host: reading the records."""

import math
import time
from dataclasses import replace
from pathlib import Path

from opstasks.maintenance.onhost.records import (
    ID,
    PREPARE,
    RUNNING,
    SCHEDULED,
    TIMER_LOST,
    ScheduledItem,
    checked_id,
    item_of,
    ready_for,
    records_dir,
)
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.units import unit_states
from opstasks.onhost.json_files import read_json
from opstasks.onhost.limits import moment

# A record is written before its timer is started.
TIMER_STARTS_S = 120
# The least time between two records.
STEP_S = 0.001


def boot_id() -> str:
    """The kernel's id of the present boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def item_path(lock_dir: str, id: str) -> Path:
    """The file of a record. Raises HostRefusal for an invalid id."""
    return records_dir(lock_dir) / (checked_id(id) + ".json")


def read_item(lock_dir: str, id: str) -> ScheduledItem:
    """A record; without a step when the file is missing or broken."""
    return replace(item_of(read_json(item_path(lock_dir, id))), id=id)


def read_items(lock_dir: str) -> list[ScheduledItem]:
    """Every record, newest first by the host's own clock: ids carry the operator's clock.

    Those of this boot come before all others: the host's clock may have been set back. A file with
    another name than its id is a person's copy.
    """
    here = boot_id()
    found = [(path.stem, item_of(read_json(path))) for path in records_dir(lock_dir).glob("*.json")]
    items = [item for name, item in found if item.id == name and ID.fullmatch(name)]
    return sorted(items, key=lambda i: (i.boot_id == here, i.scheduled_at, i.id), reverse=True)


def after_all(site: Site, now: float) -> float:
    """The time of a new record: now, or later if the clock was set back since the last one."""
    last_at = max((item.scheduled_at for item in read_items(site.lock_dir)), default=0.0)
    return moment(max(now, last_at + STEP_S))


def pending(site: Site) -> list[ScheduledItem]:
    """The work of this boot that is scheduled or under way, as systemd knows it.

    Work whose unit or timer is gone (it was killed, for example) will never get an outcome: it is
    not pending. Raises HostFailure when systemd does not answer.
    """
    here = boot_id()
    found = [i for i in read_items(site.lock_dir) if not i.outcome and i.boot_id == here]
    states = unit_states([name for item in found for name in item.units])
    return [item for item in found if is_alive(site, item, item.state(here, states))]


def is_alive(site: Site, item: ScheduledItem, state: str) -> bool:
    """Whether work is scheduled or under way; new work may not have its timer yet."""
    is_new = state == TIMER_LOST and abs(written_s(site, item)) < TIMER_STARTS_S
    return is_new or state in (SCHEDULED, RUNNING)


def written_s(site: Site, item: ScheduledItem) -> float:
    """How many seconds ago a record was written; `scheduled_at` may be later than the clock.

    Infinite if its file is gone.
    """
    try:
        return time.time() - item_path(site.lock_dir, item.id).stat().st_mtime
    except FileNotFoundError:
        return math.inf


def dead(site: Site) -> list[ScheduledItem]:
    """Preparations without an outcome that are not pending: nothing will ever end them.

    They were killed, lost their timer, or a reboot dropped or interrupted them.
    """
    alive = {item.id for item in pending(site)}
    found = [again(site.lock_dir, item) for item in read_items(site.lock_dir) if not item.outcome]
    return [i for i in found if i.kind == PREPARE and not i.outcome and i.id not in alive]


def again(lock_dir: str, item: ScheduledItem) -> ScheduledItem:
    """The present state of a record; the old one if its file is gone."""
    found = read_item(lock_dir, item.id)
    return found if found.step else item


def newest_ready(site: Site) -> ScheduledItem | None:
    """The newest preparation after which the host was ready."""
    return ready_for(read_items(site.lock_dir), boot_id())
