"""Join the jobs of a host's database with their containers in docker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from opstasks.core.fields import Line
from opstasks.jobs.model import ACTIVE, INTERNAL_ERROR, Container, Job

# The state of an orphan container's job, which is not in the database.
NO_STATE = "?"
# job-runner checks its jobs every few seconds: ignore a disagreement after a more recent change.
GRACE_S = 20.0
# In these states a job must have a container.
_WITH_CONTAINER = ("executing", "executed")


@dataclass(frozen=True)
class HostContainers:
    """The containers and volumes of jobs on a host, and the jobs that they belong to.

    `jobs` are all of these jobs, whatever was selected. `problem` says why docker did not answer.
    `volumes` are the ids of jobs that have a volume.
    """

    containers: tuple[Container, ...] = ()
    jobs: tuple[Job, ...] = ()
    problem: Line = ""
    volumes: tuple[Line, ...] = ()

    def joined(self, jobs: Sequence[Job], now: float) -> tuple[Job, ...]:
        """Jobs with the data of their containers; `now` in seconds since the epoch."""
        by_id, volumes = (
            {container.job_id: container for container in self.containers},
            set(self.volumes),
        )
        found = [join(job, by_id.get(job.id), now, has_volume=job.id in volumes) for job in jobs]
        if self.problem:
            return tuple(replace(job, disagreement="", left="") for job in found)
        return tuple(found)

    def orphans(self, shown: Iterable[str], now: float) -> tuple[Job, ...]:
        """As jobs: containers and volumes without a job, and those of a job that is over.

        `shown` are ids to leave out; `now` in seconds since the epoch.
        """
        ids = set(shown)
        odd = self.joined([job for job in self.jobs if job.id not in ids], now)
        ids |= {job.id for job in self.jobs}
        return (*(job for job in odd if job.disagreement), *self._lost(ids))

    def _lost(self, known: set[str]) -> Iterator[Job]:
        """Containers and volumes without a job."""
        volumes = set(self.volumes)
        by_id = {container.job_id: container for container in self.containers}
        for id in dict.fromkeys((*by_id, *self.volumes)):
            if id not in known:
                container = by_id.get(id)
                left = _left(container, has_volume=id in volumes)
                job = Job(id, "", "", NO_STATE, left=left, disagreement=f"{left} without a job")
                yield _with_container(job, container)


def join(job: Job, container: Container | None, now: float, *, has_volume: bool = False) -> Job:
    """A job with the data of its container and volume; `now` in seconds since the epoch."""
    is_recent = now - max(job.updated_at, container.finished_at if container else 0) < GRACE_S
    is_over = job.state not in ACTIVE and job.status_code != INTERNAL_ERROR
    left = "" if is_recent or not is_over else _left(container, has_volume=has_volume)
    text = "" if is_recent else _disagreement(job, container, left)
    if container and container.problem:
        text = f"its container cannot be described: {container.problem}"
    return _with_container(replace(job, disagreement=text, left=left), container)


def _left(container: Container | None, *, has_volume: bool) -> str:
    """What is there, as a text."""
    there = {"container": container is not None, "volume": has_volume}
    return " and ".join(name for name, is_there in there.items() if is_there)


def _with_container(job: Job, container: Container | None) -> Job:
    if container is None:
        return job
    return replace(
        job,
        image=container.image,
        container=container.state,
        cpu_limit_cores=container.cpu_limit_cores or None,
        memory_bytes=container.memory_bytes,
        memory_limit_bytes=container.memory_limit_bytes or None,
    )


def _disagreement(job: Job, container: Container | None, left: str) -> str:
    """What database and docker disagree about."""
    if container is None and not left:
        lacks = job.state == "running" and job.status_code in _WITH_CONTAINER
        return "no container" if lacks else ""
    state = container.state if container else ""
    if job.status_code in _WITH_CONTAINER and state in ("exited", "dead"):
        return "container has exited"
    if job.state in ("failed", "succeeded", "pending") and state == "running":
        return f"container still runs, job is {job.state}"
    return f"{left} still there, job is {job.state}" if left else ""
