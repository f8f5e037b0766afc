"""Runs on the host: the jobs that a release must not lose."""

import contextlib
import sqlite3
from pathlib import Path

from opstasks.deploy.onhost.database_read import job_ids
from opstasks.deploy.onhost.record import ReleaseSpec, begun_record, snapshot_path
from opstasks.onhost.commands import required
from opstasks.onhost.database_errors import explain, is_damaged
from opstasks.onhost.database_values import line, open_read_only
from opstasks.onhost.protocol import HostFailure

PREFIX = "os-job-"


# Docker may hang: that says nothing about a release.
DOCKER_TIMEOUT_S = 30.0


def job_containers() -> list[str]:
    """Names of the job containers that are running. Raises HostFailure."""
    words = ("docker", "ps", "--filter", f"name=^{PREFIX}", "--format", "{{.Names}}")
    return sorted(required("docker does not answer", *words, timeout=DOCKER_TIMEOUT_S).split())


def check_jobs(spec: ReleaseSpec) -> str:
    """Check that no job was lost; says what could not be checked. Raises HostFailure."""
    try:
        rows = lost_rows(spec)
        unknown, stopped = lost_containers(spec)
    except sqlite3.Error as error:
        if is_damaged(error):
            raise HostFailure(explain(error)) from error
        # A release does not lock its database for half a minute, and going back needs it, too.
        return f"the jobs were not checked: {explain(error, Path(spec['database']))}"
    if lost := sorted(rows | stopped):
        # What was seen: a person may have removed them, too.
        seen = [f"{id}: its row is gone" for id in sorted(rows)]
        seen += [f"{id}: its container is gone, its row says running" for id in sorted(stopped)]
        raise HostFailure(f"jobs were lost: {', '.join(lost)}", "\n".join(seen))
    return unknown


def lost_rows(spec: ReleaseSpec) -> set[str]:
    """Jobs whose rows are gone. Raises sqlite3.Error."""
    return job_ids(snapshot_path(spec)) - job_ids(Path(spec["database"]))


def lost_containers(spec: ReleaseSpec) -> tuple[str, set[str]]:
    """Why containers were not checked; jobs without a container while their row says running.

    Raises sqlite3.Error.
    """
    try:
        gone = set(begun_record(spec)["containers"]) - set(job_containers())
        # A container that ended by itself still exists until the service has handled it.
        gone = {name for name in gone if not exists(name)}
    except HostFailure as error:
        return f"the containers of jobs were not checked: {error.reason}", set()
    with contextlib.closing(open_read_only(Path(spec["database"]))) as connection:
        rows = connection.execute("SELECT id FROM job WHERE state = 'running'")
        return "", {id for id in (line(row[0]) for row in rows) if PREFIX + id in gone}


def running_count(spec: ReleaseSpec) -> int | None:
    """How many jobs are running now; None if the database cannot be read."""
    try:
        with contextlib.closing(open_read_only(Path(spec["database"]))) as connection:
            found = connection.execute("SELECT count(*) FROM job WHERE state = 'running'")
            return int(found.fetchone()[0])
    except sqlite3.Error:
        return None


def exists(container: str) -> bool:
    """Whether docker knows a container. Raises HostFailure when docker does not answer."""
    words = ("docker", "ps", "--all", "--quiet", "--filter", f"name=^{container}$")
    return bool(required("docker does not answer", *words, timeout=DOCKER_TIMEOUT_S))
