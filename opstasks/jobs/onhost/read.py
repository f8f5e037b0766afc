"""Runs on the host, as the service account: flags, counts and jobs, and their containers.

The request: ``database`` (a path), ``selection``, ``limit``, ``after`` (creation time and id of
the last job of the previous page, or null), ``with_counts``, ``with_docker``.
"""

import sqlite3
import time
from typing import Any

from opstasks.jobs.onhost import job_containers, job_table
from opstasks.onhost.engine import EngineError
from opstasks.onhost.protocol import Answer, Request


def main(request: Request) -> Answer:
    """Answer with everything requested; refuse when the database cannot be read.

    Docker comes first, so that a job that starts meanwhile is in both.
    """
    docker = job_containers.engine() if request["with_docker"] else None
    with job_table.reading(request["database"]) as connection:
        return answer(connection, docker, request)


def answer(connection: sqlite3.Connection, docker: Any, request: Request) -> Answer:
    """The answer; with `docker` None, docker is not asked."""
    listed, problem = containers(docker)
    return {
        **page(connection, request),
        "docker": with_jobs(connection, listed, problem),
    }


def page(connection: sqlite3.Connection, request: Request) -> Answer:
    """Flags, counts and jobs, all from the same moment."""
    connection.execute("BEGIN")
    limit = request["limit"]
    rows = job_table.newest(connection, request["selection"], limit + 1, request["after"])
    return {
        "now": time.time(),
        "flags": job_table.flags(connection),
        "counts": job_table.counts(connection) if request["with_counts"] else {},
        "jobs": [job_table.job_of(row) for row in rows[:limit]],
        "more": len(rows) > limit,
    }


def containers(docker: Any) -> tuple[list[dict[str, Any]], str]:
    """The containers of jobs, and why docker did not answer."""
    if docker is None:
        return [], ""
    try:
        return job_containers.list_containers(docker), ""
    except EngineError as error:
        return [], str(error)


def with_jobs(
    connection: sqlite3.Connection, listed: list[dict[str, Any]], problem: str
) -> dict[str, Any]:
    """The containers, with the jobs that they belong to, whatever was selected."""
    ids = [item["name"][len(job_containers.CONTAINER_PREFIX) :] for item in listed]
    rows = job_table.by_ids(connection, ids)
    jobs = [job_table.job_of(row) for row in rows]
    return {"containers": listed, "jobs": jobs, "problem": problem}
