"""Runs on the host: reading the records."""

from dataclasses import replace
from pathlib import Path

from opstasks.maintenance.onhost.records import (
    ID,
    PREPARE,
    READY,
    ScheduledItem,
    checked_id,
    item_of,
    records_dir,
)
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.json_files import read_json


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
    """Every record, newest first by the host's own clock: ids carry the operator's clock."""
    found = [item_of(read_json(path)) for path in records_dir(lock_dir).glob("*.json")]
    return sorted((item for item in found if ID.fullmatch(item.id)), key=_age, reverse=True)


def _age(item: ScheduledItem) -> tuple[float, str]:
    return item.scheduled_at, item.id


def pending(site: Site) -> list[ScheduledItem]:
    """The records of this boot that have no outcome yet."""
    here = boot_id()
    return [i for i in read_items(site.lock_dir) if not i.outcome and i.boot_id == here]


def newest_ready(site: Site) -> ScheduledItem | None:
    """The newest preparation after which the host was ready."""
    found = read_items(site.lock_dir)
    return next((i for i in found if i.kind == PREPARE and i.outcome == READY), None)
