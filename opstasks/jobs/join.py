"""Join the jobs of a host's database with their containers in docker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from opstasks.core.fields import Line
from opstasks.jobs.model import Container, Job

# The state of an orphan container's job, which is not in the database.
NO_STATE = "?"
# job-runner checks its jobs every few seconds: ignore a disagreement after a more recent change.
GRACE_S = 20.0
# In these states a job must have a container.
_WITH_CONTAINER = ("executing", "executed")


@dataclass(frozen=True)
class HostContainers:
    """The containers of jobs on a host, and the jobs that they belong to.

    `jobs` are all of these jobs, whatever was selected. `problem` says why docker did not answer.
    """

    containers: tuple[Container, ...] = ()
    jobs: tuple[Job, ...] = ()
    problem: Line = ""

    def joined(self, jobs: Sequence[Job], now: float) -> tuple[Job, ...]:
        """Jobs with the data of their containers; `now` in seconds since the epoch."""
        by_id = {container.job_id: container for container in self.containers}
        found = [join(job, by_id.get(job.id), now) for job in jobs]
        if self.problem:
            return tuple(replace(job, disagreement="") for job in found)
        return tuple(found)

    def orphans(self, shown: Iterable[str], now: float) -> tuple[Job, ...]:
        """As jobs: containers without a job, and containers that run although their job ended.

        `shown` are ids to leave out; `now` in seconds since the epoch.
        """
        ids = set(shown)
        odd = self.joined([job for job in self.jobs if job.id not in ids], now)
        ids |= {job.id for job in self.jobs}
        lost = [
            _with_container(Job(c.job_id, "", "", NO_STATE), c, "container without a job")
            for c in self.containers
            if c.job_id not in ids
        ]
        return (*(job for job in odd if job.disagreement), *lost)


def join(job: Job, container: Container | None, now: float) -> Job:
    """A job with the data of its container; `now` in seconds since the epoch."""
    text = _disagreement(job, container, now)
    if container is None:
        return replace(job, disagreement=text)
    return _with_container(job, container, text)


def _with_container(job: Job, container: Container, disagreement: str) -> Job:
    return replace(
        job,
        image=container.image,
        container=container.state,
        cpus=container.cpus,
        memory_bytes=container.memory_bytes,
        disagreement=disagreement,
    )


def _disagreement(job: Job, container: Container | None, now: float) -> str:
    """What database and docker disagree about, if it has lasted `GRACE_S` seconds."""
    if now - max(job.updated_at, container.finished_at if container else 0) < GRACE_S:
        return ""
    if container is None:
        lacks = job.state == "running" and job.status_code in _WITH_CONTAINER
        return "no container" if lacks else ""
    if job.status_code in _WITH_CONTAINER and container.state in ("exited", "dead"):
        return "container has exited"
    if job.state in ("failed", "succeeded", "pending") and container.state == "running":
        return f"container still runs, job is {job.state}"
    return ""
