"""Jobs, as the database and docker tell of them (playbook: "Show currently running jobs")."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from opstasks.command import Command
from opstasks.inventory import HostSpec
from opstasks.primitives import docker, remote
from opstasks.primitives.docker import Container

CONTAINER_PREFIX = "os-job-"
STATES = ("pending", "running", "failed", "succeeded")
# While a job is in these, its container must be there.
_WITH_CONTAINER = ("executing", "executed")


@dataclass(frozen=True)
class Job:
    """One job; times are seconds since the epoch, 0 for one that has not come."""

    id: str
    workspace: str
    action: str
    state: str
    status_code: str = ""
    created: float = 0.0
    started: float = 0.0
    updated: float = 0.0
    completed: float = 0.0
    image: str = ""
    container: str = ""
    disagreement: str = ""

    def elapsed_s(self, now: float) -> float:
        """How long it has been running, or ran."""
        return max(0.0, (self.completed or now) - self.started) if self.started else 0.0


@dataclass(frozen=True)
class Database:
    """What was read of the database; `error` says why nothing was."""

    user_version: int = 0
    flags: dict[str, tuple[str, float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    jobs: tuple[Job, ...] = ()
    error: str = ""


def read_command(
    spec: HostSpec, states: Iterable[str] = (), workspace: str = "", limit: int = 500
) -> Command:
    """Read the database; parse with `parse`."""
    request = {
        "database": spec.database,
        "states": list(states),
        "workspace": workspace,
        "limit": limit,
    }
    return remote.call(__package__, "remote_jobs.py", request)


def containers_command() -> Command:
    """List the job containers; parse with `opstasks.primitives.docker.parse_containers`."""
    return docker.containers(CONTAINER_PREFIX)


def parse(text: str) -> Database:
    """What `read_command` printed."""
    found: dict[str, Any] = json.loads(text)
    if "error" in found:
        return Database(error=found["error"])
    flags = {name: (str(value), float(time or 0)) for name, (value, time) in found["flags"].items()}
    jobs = tuple(_job(row) for row in found["jobs"])
    return Database(found["user_version"], flags, found["counts"], jobs)


def _job(row: dict[str, Any]) -> Job:
    # status_code_updated_at alone is in nanoseconds; the others are in seconds.
    changed = (row.get("status_code_updated_at") or 0) / 1e9
    return Job(
        id=row["id"],
        workspace=row.get("workspace") or "",
        action=row.get("action") or "",
        state=row["state"],
        status_code=row.get("status_code") or "",
        created=float(row.get("created_at") or 0),
        started=float(row.get("started_at") or 0),
        updated=changed or float(row.get("updated_at") or 0),
        completed=float(row.get("completed_at") or 0),
    )


def join(jobs: Iterable[Job], containers: Iterable[Container]) -> tuple[Job, ...]:
    """Jobs with what docker knows of them; containers that no job stands for come last."""
    from dataclasses import replace

    by_id = {c.name.removeprefix(CONTAINER_PREFIX): c for c in containers}
    joined = []
    for job in jobs:
        container = by_id.pop(job.id, None)
        joined.append(
            replace(
                job,
                image=container.image if container else "",
                container=container.state if container else "",
                disagreement=_disagreement(job, container),
            )
        )
    strays = (
        Job(id, "", "", "?", image=c.image, container=c.state, disagreement="no such running job")
        for id, c in by_id.items()
        if c.state == "running"
    )
    return (*joined, *strays)


def _disagreement(job: Job, container: Container | None) -> str:
    if job.state == "running" and job.status_code in _WITH_CONTAINER and container is None:
        return "no container"
    if job.status_code == "executing" and container and container.state == "exited":
        return "container has exited"
    if (
        job.state in ("failed", "succeeded", "pending")
        and container
        and (container.state == "running")
    ):
        return f"container still runs, job is {job.state}"
    return ""
