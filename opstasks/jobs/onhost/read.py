"""Runs on the host, as the service account: flags, counts and jobs, and their containers.

The request: ``database`` (a path), ``selection``, ``limit``, ``after`` (creation time and id of
the last job of the previous page, or null), ``with_counts``, ``with_docker``, ``volumes`` (the
folder of bind-mounted volumes).
"""

import sqlite3
import time
from typing import Any

from opstasks.jobs.onhost import job_containers, job_table
from opstasks.onhost.engine import EngineError
from opstasks.onhost.protocol import Answer, Request

DAY_S = 86400


def main(request: Request) -> Answer:
    """Answer with everything requested; refuse when the database cannot be read.

    Docker comes first, so that a job that starts meanwhile is in both.
    """
    docker = job_containers.engine() if request["with_docker"] else None
    with job_table.reading(request["database"]) as connection:
        return answer(connection, docker, request)


def answer(connection: sqlite3.Connection, docker: Any, request: Request) -> Answer:
    """The answer; with `docker` None, docker is not asked."""
    found = containers(docker, request["volumes"])
    return {**page(connection, request), "docker": with_jobs(connection, found)}


def page(connection: sqlite3.Connection, request: Request) -> Answer:
    """Flags, counts and jobs, all from the same moment."""
    connection.execute("BEGIN")
    limit, now = request["limit"], time.time()
    with_counts = request["with_counts"]
    rows = job_table.newest(connection, request["selection"], limit + 1, request["after"])
    return {
        "now": now,
        "flags": job_table.flags(connection),
        "counts": job_table.counts(connection) if with_counts else {},
        "ended_day": job_table.ended(connection, now - DAY_S) if with_counts else {},
        "jobs": [job_table.job_of(row) for row in rows[:limit]],
        "more": len(rows) > limit,
    }


def containers(docker: Any, folder: str) -> dict[str, Any]:
    """The containers of jobs, the ids of jobs with a volume, and why docker did not answer."""
    found: dict[str, Any] = {"containers": [], "volumes": [], "problem": ""}
    if docker is None:
        return found
    try:
        found["containers"] = job_containers.list_containers(docker)
        found["volumes"] = job_containers.list_volumes(docker, folder)
    except EngineError as error:
        found["problem"] = str(error)
    return found


def with_jobs(connection: sqlite3.Connection, found: dict[str, Any]) -> dict[str, Any]:
    """Containers and volumes, with the jobs that they belong to, whatever was selected."""
    prefix = len(job_containers.CONTAINER_PREFIX)
    ids = [*(item["name"][prefix:] for item in found["containers"]), *found["volumes"]]
    rows = job_table.by_ids(connection, list(dict.fromkeys(ids)))
    return {**found, "jobs": [job_table.job_of(row) for row in rows]}
