"""Read a host's flags, counts, jobs and their containers in one round trip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from opstasks.core.errors import OpsError, Refused
from opstasks.core.fields import Count, Line, Moment
from opstasks.core.lines import last_line
from opstasks.core.result import Result
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program, ProgramCommand
from opstasks.jobs.join import HostContainers
from opstasks.jobs.model import Job
from opstasks.jobs.onhost.job_table import NO_DATABASE


class JobSelection(msgspec.Struct, frozen=True):
    """Which jobs; `since_at` in seconds since the epoch, `since_s` in seconds before now."""

    states: tuple[str, ...] = ()
    workspace: str = ""
    since_at: float = 0.0
    since_s: float = 0.0

    @property
    def may_show_orphans(self) -> bool:
        """Whether the selection includes containers without a job."""
        hidden = self.workspace or self.since_at or self.since_s
        return not hidden and (not self.states or "running" in self.states)


class JobsRequest(msgspec.Struct, frozen=True):
    """`limit` is a number of jobs; `after` is creation time and id of the last job read.

    `volumes` is the folder of bind-mounted volumes.
    """

    database: str
    selection: JobSelection
    limit: int
    after: tuple[float, str] | None = None
    with_counts: bool = True
    with_docker: bool = False
    volumes: str = ""


@dataclass(frozen=True)
class JobsAnswer:
    """The jobs in a host's database, and their containers if docker was asked.

    `flags` has value and time of setting by name, `counts` the number of jobs by state, `ended_day`
    the number of those that ended within 24 hours. `more` says that the selection has further jobs.
    `now` is the host's clock; times in seconds since the epoch. `problem` says why nothing could be
    read: then everything else is empty.
    """

    now: Moment
    flags: dict[Line, tuple[Line, Moment]]
    counts: dict[Line, Count]
    jobs: tuple[Job, ...]
    more: bool = False
    docker: HostContainers = field(default_factory=HostContainers)
    problem: Line = ""
    ended_day: dict[Line, Count] = field(default_factory=dict)

    def count(self, state: str) -> int | None:
        """How many jobs are in a state; None when the database could not be read."""
        return None if self.problem else self.counts.get(state, 0)

    def joined(self, *, orphans: bool = False) -> tuple[Job, ...]:
        """The jobs with their containers; `orphans` adds containers without a job."""
        found = self.docker.joined(self.jobs, self.now)
        shown = [job.id for job in self.jobs]
        return (*found, *self.docker.orphans(shown, self.now)) if orphans else found


# 10 000 jobs in one answer, each with a long message.
MAX_BYTES = 64 << 20
READ = Program("opstasks.jobs.onhost.read", JobsRequest, JobsAnswer, max_bytes=MAX_BYTES)


def read_jobs(host: Host, request: JobsRequest) -> JobsAnswer:
    """Read once; raises Refused, with a hint, when the database cannot be read."""
    with refusals_explained(host.name):
        return host.service.call(READ, request)


def jobs_command(
    spec: HostSpec,
    selection: JobSelection | None = None,
    *,
    limit: int = 0,
    with_docker: bool = False,
) -> ProgramCommand:
    """A command to combine with others in one round trip; decode with `jobs_answer`."""
    chosen = selection or JobSelection()
    volumes = volumes_folder(spec) if with_docker else ""
    return READ.command(
        JobsRequest(spec.database, chosen, limit, with_docker=with_docker, volumes=volumes)
    )


def volumes_folder(spec: HostSpec) -> str:
    """The folder of bind-mounted volumes, one for each job."""
    return f"{spec.high_privacy}/volumes"


def jobs_answer(result: Result, host: str) -> JobsAnswer:
    """The answer to `jobs_command`; never raises: any failure becomes its `problem`."""
    try:
        return READ.decode(result, host)
    except OpsError as error:
        problem = ": ".join(filter(None, [error.message, last_line(error.tail)]))
        return JobsAnswer(0.0, {}, {}, (), problem=problem)


@contextlib.contextmanager
def refusals_explained(host: str) -> Iterator[None]:
    """Explain a refusal by the host's program, with a hint.

    A refusal by the connection has its own hint and is not changed.
    """
    try:
        yield
    except Refused as refusal:
        if refusal.hint:
            raise
        raise unreadable(host, refusal.message) from refusal


def unreadable(host: str, problem: str) -> Refused:
    """The error for a database that cannot be read, with a hint."""
    hint = f"inv -H {host} {'manage' if problem == NO_DATABASE else 'doctor'}"
    return Refused(f"cannot read the jobs: {problem}", host=host, hint=hint)
