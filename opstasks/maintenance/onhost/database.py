"""Runs on the host: job-runner's database, read as the service account."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from opstasks.maintenance.onhost.account import Site, as_service
from opstasks.onhost.commands import StepError

KEEP_SNAPSHOTS = 5
WAITING_ON_REBOOT = "waiting_on_reboot"


def query(site: Site, text: str, *values: Any, database: str = "") -> list[list[Any]]:
    """Rows of job-runner's database, read as the service account."""
    path = database or site["database"]

    def read() -> list[list[Any]]:
        uri = f"file:{path}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            return [list(row) for row in connection.execute(text, values)]

    found: list[list[Any]] = as_service(site, read)
    return found


def running_jobs(site: Site) -> list[dict[str, Any]]:
    """The jobs that a reboot would interrupt, longest running first."""
    rows = query(
        site,
        "SELECT id, workspace, action, status_code, started_at FROM job"
        " WHERE state = 'running' ORDER BY started_at",
    )
    names = ("id", "workspace", "action", "status_code", "started_at")
    return [dict(zip(names, row, strict=True)) for row in rows]


def waiting_jobs(site: Site) -> set[str]:
    """The jobs that wait for the reboot."""
    text = "SELECT id FROM job WHERE state = 'pending' AND status_code = ?"
    return {str(row[0]) for row in query(site, text, WAITING_ON_REBOOT)}


def job_ids(site: Site, database: str = "") -> set[str]:
    """Every job that the database knows."""
    return {str(row[0]) for row in query(site, "SELECT id FROM job", database=database)}


def snapshot(site: Site, id: str) -> str:
    """A checked copy of the database, there as a whole or not at all; returns its path."""
    folder = Path(site["state_dir"], "reboots")
    target = folder / (id + ".sqlite")

    def copy() -> str:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        new = target.with_suffix(".new")
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        uri = f"file:{site['database']}?mode=ro"
        with (
            contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as old,
            contextlib.closing(sqlite3.connect(new)) as fresh,
        ):
            old.backup(fresh)
            verdict = fresh.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            raise StepError(f"the copy of the database is not sound: {verdict}")
        new.replace(target)
        for old_copy in sorted(folder.glob("*.sqlite"), reverse=True)[KEEP_SNAPSHOTS:]:
            old_copy.unlink()
        return str(target)

    return str(as_service(site, copy))
