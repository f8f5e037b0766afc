"""Runs on the host: writing the records, and lines in the journal."""

import json
import pwd
import time
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any

from opstasks.maintenance.onhost.records import BOOT_ID, ItemStep, ScheduledItem
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.store import boot_id, item_path, read_item
from opstasks.onhost.journal_line import write_line
from opstasks.onhost.json_files import write_json
from opstasks.onhost.limits import MAX_LINE
from opstasks.onhost.protocol import send_part


def write_item(site: Site, id: str, /, **changes: Any) -> ScheduledItem:
    """Change a record completely or not at all; only root and the service account may read it.

    A text that is too long for a record is cut: it must not keep the outcome out of it.
    """
    cut: dict[str, Any] = {k: v[:MAX_LINE] if isinstance(v, str) else v for k, v in changes.items()}
    item = replace(read_item(site.lock_dir, id), **cut)
    group = pwd.getpwnam(site.service_user).pw_gid
    write_json(item_path(site.lock_dir, id), asdict(item), 0o640, group)
    return item


def add_step(site: Site, id: str, text: str, step: str = "") -> None:
    """Add a step to the record, for those who follow it, and to the unit's output."""
    steps = (*read_item(site.lock_dir, id).steps, ItemStep(time.time(), text[:MAX_LINE]))
    write_item(site, id, steps=steps, **({"step": step} if step else {}))
    send_part(text)


def journal(item: ScheduledItem, phase: str, outcome: str = "", detail: str = "") -> None:
    """Write one line of the audit, as `opstasks.fleet.audit` does; never fails the work itself."""
    entry = {
        # Each boot ends pauses under the same id; a run id is used only once.
        "run_id": f"{BOOT_ID}-{boot_id()[:8]}" if item.id == BOOT_ID else item.id,
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
    write_line(line, item.login)
