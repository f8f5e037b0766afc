"""A job, its container and its log files; also the types of a host's answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opstasks.core.fields import Amount, Count, Line, Moment, Small, Text

CONTAINER_PREFIX, VOLUME_PREFIX = "os-job-", "os-volume-"
STATES = ("pending", "running", "failed", "succeeded")
ACTIVE = ("pending", "running")
# job-runner keeps container and volume of such a job, so that it can be retried.
INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True)
class Job:
    """One job; times are seconds since the epoch, 0 for an event that has not happened.

    The limits and `memory_bytes`, what its container uses, are None where there is no limit, or
    where they are not known. `container` is its state. `disagreement` says what database and docker
    disagree about. `left` is what a job that is over still has: "container", "volume" or "container
    and volume".
    """

    id: Line
    workspace: Line
    action: Line
    state: Line
    status_code: Line = ""
    created_at: Moment = 0.0
    started_at: Moment = 0.0
    updated_at: Moment = 0.0
    completed_at: Moment = 0.0
    image: Line = ""
    container: Line = ""
    disagreement: Line = ""
    status_message: Text = ""
    cpu_limit_cores: Amount | None = None
    memory_bytes: Count | None = None
    memory_limit_bytes: Count | None = None
    left: Line = ""

    def elapsed_s(self, now: float) -> float:
        """How many seconds it ran, or has been running; `now` in seconds since the epoch."""
        if not self.started_at:
            return 0.0
        return max(0.0, (self.completed_at or now) - self.started_at)

    @property
    def is_active(self) -> bool:
        """Whether job-runner still has work to do on it."""
        return self.state in ACTIVE

    @property
    def slug(self) -> str:
        """Workspace and action, as people call the job."""
        return f"{self.workspace}-{self.action}"

    @property
    def name(self) -> str:
        """The text in which a word is searched for, here and on the host."""
        return f"{self.slug}-{self.id}"

    @property
    def status(self) -> str:
        """State and status code for a message: ``failed (internal_error)``."""
        return f"{self.state} ({self.status_code})"

    @property
    def known_as(self) -> tuple[str, str]:
        """Its id and what it is, for the Tab key."""
        return self.id, f"{self.slug} {self.state}"

    @property
    def container_name(self) -> str:
        """The name of its container."""
        return CONTAINER_PREFIX + self.id

    @property
    def volume_name(self) -> str:
        """The name of its volume."""
        return VOLUME_PREFIX + self.id

    def describe(self) -> str:
        """Id and state for a message: ``abc123 (failed, internal_error)``."""
        return f"{self.id} ({self.state}, {self.status_code})"


@dataclass(frozen=True)
class Container:
    """A job's container; `state` is running, exited, ...; a limit of 0 means no limit.

    `memory_bytes` is what it uses, without cache that can be freed; None if that is not known.
    Times are seconds since the epoch, 0 for an event that has not happened. `mount` is what is
    mounted at /workspace: ("volume", name) or ("bind", folder). `problem` says why docker cannot
    describe it: then only its name is known.
    """

    name: Line
    image: Line
    state: Line
    image_id: Line = ""
    pid: Count = 0
    exit_code: Small | None = None
    oom_killed: bool = False
    started_at: Moment = 0.0
    finished_at: Moment = 0.0
    cpu_limit_cores: Amount = 0.0
    memory_limit_bytes: Count = 0
    memory_bytes: Count | None = None
    mount: tuple[Line, Line] | None = None
    problem: Line = ""

    @property
    def job_id(self) -> str:
        """The id of the job that this container was made for."""
        return self.name.removeprefix(CONTAINER_PREFIX)

    @property
    def is_alive(self) -> bool:
        """Whether it has processes."""
        return self.state in ("running", "paused", "restarting")


@dataclass(frozen=True)
class LogFile:
    """A file of a job's log folder; `changed_at` in seconds since the epoch."""

    path: Line
    size_bytes: Count
    changed_at: Moment = 0.0


@dataclass(frozen=True)
class Match:
    """One job that matches a word, with its container, volume and logs on its host.

    `volume` is ("volume", name) or ("bind", folder). `docker_problem` says why container and
    volume are unknown. `row` is the unchecked row of the database: any key may be missing and
    any value may have any type. `alike` counts other ids that contain this id. `now` is the
    host's clock, in seconds since the epoch. `recorded_exit_code` is the one in metadata.json.
    """

    host: str
    job: Job
    container: Container | None = None
    volume: tuple[str, str] | None = None
    logs: tuple[LogFile, ...] = ()
    docker_problem: str = ""
    row: dict[str, Any] = field(default_factory=dict)
    alike: int = 0
    now: float = 0.0
    recorded_exit_code: int | None = None

    @property
    def exit_code(self) -> int | None:
        """How the job's program ended; None if it has not, or if that is not known."""
        if self.job.is_active and (self.container is None or self.runs):
            return None
        if self.container is not None and self.container.finished_at:
            return self.container.exit_code
        return self.recorded_exit_code

    @property
    def runs(self) -> bool:
        """Whether its container has processes."""
        return self.container is not None and self.container.is_alive
