"""Runs on the host: reading and writing the records, and the lines in the journal."""

import contextlib
import json
import pwd
import subprocess
import time
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from opstasks.maintenance.onhost.records import (
    PREPARE,
    READY,
    ItemStep,
    ScheduledItem,
    item_of,
    records_dir,
)
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.commands import call
from opstasks.onhost.json_files import read_json, write_json
from opstasks.onhost.protocol import send_part

JOURNAL_IDENTIFIER = "opstasks"


def boot_id() -> str:
    """The kernel's name for the present boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def item_path(lock_dir: str, id: str) -> Path:
    """The file of a record."""
    return records_dir(lock_dir) / (id + ".json")


def read_item(lock_dir: str, id: str) -> ScheduledItem:
    """A record; one without a step when the file is missing or broken."""
    return replace(item_of(read_json(item_path(lock_dir, id))), id=id)


def write_item(site: Site, id: str, /, **changes: Any) -> ScheduledItem:
    """Change a record, whole or not at all; only root and the service account may read it."""
    item = replace(read_item(site.lock_dir, id), **changes)
    group = pwd.getpwnam(site.service_user).pw_gid
    write_json(item_path(site.lock_dir, id), asdict(item), 0o640, group)
    return item


def read_items(lock_dir: str) -> list[ScheduledItem]:
    """Every record, newest first by the host's own clock: ids carry the operator's clock."""
    found = [item_of(read_json(path)) for path in records_dir(lock_dir).glob("*.json")]
    return sorted((item for item in found if item.id), key=_age, reverse=True)


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


def add_step(site: Site, id: str, text: str, step: str = "") -> None:
    """Note in the record what is being done, for those who follow it, and in the unit's output."""
    steps = (*read_item(site.lock_dir, id).steps, ItemStep(time.time(), text))
    write_item(site, id, steps=steps, **({"step": step} if step else {}))
    send_part(text)


def journal(item: ScheduledItem, phase: str, outcome: str = "", detail: str = "") -> None:
    """Write one line of the audit, as `opstasks.fleet.audit` does; never fails the work itself."""
    entry = {
        "run_id": item.id,
        "host": item.host,
        "task": item.kind,
        "phase": phase,
        "who": item.who,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "args": {"why": item.why} if item.why else {},
        "outcome": outcome,
        "detail": detail,
    }
    line = json.dumps({k: v for k, v in entry.items() if v}, sort_keys=True)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        words = ("systemd-cat", "-t", JOURNAL_IDENTIFIER, "-p", "info")
        call(*words, input=line + "\n", timeout=20)
