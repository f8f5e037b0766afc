"""Runs on the host: one armed piece of work, its record on the disk, its lines in the journal.

Under ``lock_dir``, all root's: ``scheduled/ID.json`` the records, which the service account may
read; ``scripts/ID/`` what will run, for root alone.
"""

import contextlib
import json
import pwd
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from opstasks.maintenance.onhost.account import Site
from opstasks.onhost.commands import call
from opstasks.onhost.json_files import read_json, write_json

Record = dict[str, Any]
PREPARE, UNPAUSE = "prepare-reboot", "unpause"
IDENTIFIER = "opstasks"
# Whoever follows sees that the host is ready before it goes down.
SEEN_S = 3


def boot_id() -> str:
    """The kernel's name for the present boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def record_path(site: Site, id: str) -> Path:
    """Where a record lies."""
    return Path(site["lock_dir"], "scheduled", id + ".json")


def script_dir(site: Site, id: str) -> Path:
    """Where the script of an armed item lies; root's alone."""
    return Path(site["lock_dir"], "scripts", id)


def read_record(site: Site, id: str) -> Record:
    """One record; empty when there is none."""
    return read_json(record_path(site, id))


def write_record(site: Site, id: str, /, **changes: Any) -> Record:
    """Change a record, whole or not at all; the service account may read it, others may not."""
    record = {**read_record(site, id), **changes}
    group = pwd.getpwnam(site["service_user"]).pw_gid
    write_json(record_path(site, id), record, 0o640, group)
    return record


def records(site: Site) -> list[Record]:
    """Every record, newest first by the host's own clock: ids carry that of whoever armed it."""
    found = [read_json(path) for path in Path(site["lock_dir"], "scheduled").glob("*.json")]
    return sorted((r for r in found if r.get("id")), key=armed, reverse=True)


def armed(record: Record) -> tuple[float, str]:
    """When a record was armed; the id where that was at the same time."""
    return float(record.get("armed_at") or 0), str(record["id"])


def pending(site: Site) -> list[Record]:
    """Records whose work is still to come, or going on, in this boot."""
    here = boot_id()
    return [r for r in records(site) if not r.get("outcome") and r.get("boot_id") == here]


def say(site: Site, id: str, text: str, step: str = "") -> None:
    """Note in the record what is going on; whoever watches reads it there."""
    steps = [*read_record(site, id).get("steps", []), [time.time(), text]]
    write_record(site, id, steps=steps, **({"step": step} if step else {}))
    print(text, flush=True)


def journal(record: Record, phase: str, outcome: str = "", detail: str = "") -> None:
    """One line of the audit, as `opstasks.fleet.audit` writes them; never fails the work itself."""
    entry = {
        "run_id": record["id"],
        "host": record["host"],
        "task": record["kind"],
        "phase": phase,
        "who": record["who"],
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "args": {"why": record["why"]} if record.get("why") else {},
        "outcome": outcome,
        "detail": detail,
    }
    line = json.dumps({k: v for k, v in entry.items() if v}, sort_keys=True)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        call("systemd-cat", "-t", IDENTIFIER, "-p", "info", input=line + "\n", timeout=20)
