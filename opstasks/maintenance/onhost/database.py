"""Runs on the host: job-runner's database, read as the service account."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from opstasks.maintenance.onhost.account import as_service
from opstasks.maintenance.onhost.query import query
from opstasks.maintenance.onhost.records import ID
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.database_copy import copy_database
from opstasks.onhost.database_values import line, seconds
from opstasks.onhost.limits import check

KEEP_SNAPSHOTS = 5
# A copy of a large database on a slow disk.
SNAPSHOT_LIMIT_S = 1800.0
WAITING_ON_REBOOT = "waiting_on_reboot"


@dataclass(frozen=True)
class RunningJob:
    """A job that a reboot would interrupt; `started_at` in seconds since the epoch, 0 if unknown.

    Raises ValueError for invalid values.
    """

    id: str
    workspace: str = ""
    action: str = ""
    started_at: float = 0.0

    def __post_init__(self) -> None:
        check(self)


def running_jobs(site: Site) -> list[RunningJob]:
    """The jobs that a reboot would interrupt, longest running first."""
    rows = query(
        site,
        "SELECT id, workspace, action, started_at FROM job"
        " WHERE state = 'running' ORDER BY started_at",
    )
    return [
        RunningJob(line(id), line(workspace), line(action), seconds(started))
        for id, workspace, action, started in rows
    ]


def waiting_jobs(site: Site) -> set[str]:
    """The ids of the jobs that wait for the reboot."""
    text = "SELECT id FROM job WHERE state = 'pending' AND status_code = ?"
    return {line(row[0]) for row in query(site, text, WAITING_ON_REBOOT)}


def job_ids(site: Site, database: str = "") -> set[str]:
    """The ids of all jobs in the database, or in a copy of it."""
    return {line(row[0]) for row in query(site, "SELECT id FROM job", database=database)}


def snapshot(site: Site, id: str) -> str:
    """Make a checked copy of the database, complete or not at all; returns its path.

    Raises HostFailure when the copy is damaged.
    """
    target = snapshots_dir(site) / (id + ".sqlite")

    def copy() -> str:
        copy_database(Path(site.database), target)
        # The copy is made, even if an old one cannot be removed.
        with contextlib.suppress(OSError):
            prune_snapshots(target)
        return str(target)

    return str(as_service(site, copy, limit_s=SNAPSHOT_LIMIT_S))


def snapshots_dir(site: Site) -> Path:
    """The folder of the copies that preparations make."""
    return Path(site.state_dir, "reboots")


def prune_snapshots(newest: Path) -> None:
    """Remove the oldest copies beside the newest one; files with other names are a person's.

    Age is by the host's clock: the names have the time of an operator's clock. A copy from the
    future counts as old: the host's clock was set back since then. Raises OSError.
    """
    now = time.time()

    def age(path: Path) -> tuple[bool, float, str]:
        made_at = path.stat().st_mtime
        return made_at <= now, made_at, path.name

    others = [p for p in newest.parent.glob("*.sqlite") if p != newest and ID.fullmatch(p.stem)]
    for path in sorted(others, key=age, reverse=True)[KEEP_SNAPSHOTS - 1 :]:
        path.unlink()
