"""`jobs.ls`: select jobs, and read them as a table or as a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from opstasks.core import durations
from opstasks.core.errors import CommandFailed, Refused
from opstasks.core.fields import Moment
from opstasks.core.hints import quoted
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.jobs.join import HostContainers
from opstasks.jobs.model import ACTIVE, STATES, Job
from opstasks.jobs.read import (
    READ,
    JobsAnswer,
    JobSelection,
    JobsRequest,
    read_jobs,
    refusals_explained,
    volumes_folder,
)

# Jobs in one answer: 40 000 jobs take four round trips.
PAGE_ROWS = 10_000
# Jobs in one part of a stream: host and client never have more in memory.
STREAM_ROWS = 500


# -- which jobs ------------------------------------------------------------------------------


def select(state: str, workspace: str, since: str, *, everything: bool) -> JobSelection:
    """The jobs that an operator asks for, by default those that are not over; raises Refused."""
    if state and state not in STATES:
        *most, last = STATES
        raise Refused(f"--state must be {', '.join(most)} or {last}, not {quoted(state)}")
    states = (state,) if state else () if everything or since else ACTIVE
    if not workspace.isprintable():
        raise Refused(
            f"--workspace: {quoted(workspace)} cannot be a workspace",
            hint="jobs.ls --all, which shows their names",
        )
    since_s, since_at = since_of(since)
    return JobSelection(states, workspace, since_at=since_at, since_s=since_s)


def since_of(text: str) -> tuple[float, float]:
    """A span or a date as (seconds before now, seconds since the epoch); raises Refused.

    A span is subtracted from the host's clock.
    """
    if not text:
        return 0.0, 0.0
    try:
        if durations.is_span(text):
            return float(durations.parse(text)), 0.0
        return 0.0, durations.moment(text, datetime.now(UTC)).timestamp()
    except Refused as refused:
        raise Refused(f"--since: {refused.message}", hint=refused.hint) from None


# -- a table ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listing:
    """Jobs of a host for a table; `docker_problem` says why docker did not answer.

    `now` is the host's own clock, in seconds since the epoch. `counts` is how many jobs the host
    has in each state, `ended_day` how many of them ended within 24 hours. `has_more`: the limit
    left jobs out.
    """

    jobs: tuple[Job, ...]
    docker_problem: str = ""
    now: float = 0.0
    host: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    ended_day: dict[str, int] = field(default_factory=dict)
    has_more: bool = False


def list_jobs(host: Host, selection: JobSelection, limit: int) -> Listing:
    """The jobs of a host, newest first, with their containers; `limit` 0 means all.

    Orphan containers come last, unless the selection excludes them. Raises Refused, and
    InvalidResponse for pages that would never end.
    """
    first: JobsAnswer | None = None
    after: tuple[float, str] | None = None
    found: list[Job] = []
    while True:
        size = min(PAGE_ROWS, limit - len(found)) if limit else PAGE_ROWS
        request = JobsRequest(
            host.spec.database,
            selection,
            size,
            after,
            with_counts=first is None,
            with_docker=first is None,
            volumes=volumes_folder(host.spec) if first is None else "",
        )
        page = read_jobs(host, request)
        first = first or page
        found += replace(page, docker=first.docker).joined()
        if not page.more or (limit and len(found) >= limit):
            shown = [job.id for job in found]
            wanted = selection.may_show_orphans
            orphans = first.docker.orphans(shown, first.now) if wanted else ()
            return Listing(
                (*found, *orphans),
                first.docker.problem,
                page.now,
                host.name,
                first.counts,
                first.ended_day,
                page.more,
            )
        after = _next_page(host, page, after)


def _next_page(host: Host, page: JobsAnswer, after: tuple[float, str] | None) -> tuple[float, str]:
    """Where the next page begins; raises InvalidResponse unless it is after this page."""
    last = (page.jobs[-1].created_at, page.jobs[-1].id) if page.jobs else None
    if last is None or (after is not None and last >= after):
        raise READ.invalid("more jobs, but no next page", host.name)
    return last


# -- a stream --------------------------------------------------------------------------------


class StreamRequest(msgspec.Struct, frozen=True):
    """`limit` 0 means all; `page_rows` is the largest number of jobs in one part.

    `volumes` is the folder of bind-mounted volumes.
    """

    database: str
    selection: JobSelection
    limit: int
    page_rows: int
    volumes: str


@dataclass(frozen=True)
class StreamPart:
    """Some of the jobs; the first part also has the containers and the host's clock."""

    docker: HostContainers | None = None
    now: Moment = 0.0
    jobs: tuple[Job, ...] = ()


class StreamAnswer(msgspec.Struct, frozen=True):
    """The end of the stream: everything was sent."""


STREAM = Program("opstasks.jobs.onhost.stream", StreamRequest, StreamAnswer, part=StreamPart)


class Joiner:
    """Takes the parts of a stream and passes on their jobs, joined with their containers.

    Keeps the containers in memory, but not the jobs.
    """

    def __init__(self, hand_on: Callable[[Sequence[Job]], None], *, orphans: bool) -> None:
        self._hand_on, self._with_orphans = hand_on, orphans
        self._now = 0.0
        self._orphans: dict[str, Job] = {}
        self.docker = HostContainers()

    def take(self, part: StreamPart) -> None:
        """Take a part."""
        if part.docker is not None:
            self.docker, self._now = part.docker, part.now
            found = self.docker.orphans((), self._now) if self._with_orphans else ()
            self._orphans = {job.id: job for job in found}
        for job in part.jobs:
            self._orphans.pop(job.id, None)
        if part.jobs:
            self._hand_on(self.docker.joined(part.jobs, self._now))

    def end(self) -> None:
        """Pass on the orphan containers."""
        self._hand_on(list(self._orphans.values()))


def stream_jobs(
    host: Host, selection: JobSelection, limit: int, hand_on: Callable[[Sequence[Job]], None]
) -> None:
    """Pass on any number of jobs, newest first, as they arrive; `limit` 0 means all.

    Raises Refused when the database cannot be read. Raises CommandFailed, after all jobs were
    passed on, when docker did not answer.
    """
    joiner = Joiner(hand_on, orphans=selection.may_show_orphans)
    spec = host.spec
    request = StreamRequest(spec.database, selection, limit, STREAM_ROWS, volumes_folder(spec))
    with refusals_explained(host.name):
        host.service.follow(STREAM, request, joiner.take)
    joiner.end()
    if joiner.docker.problem:
        raise CommandFailed(
            f"cannot read the containers: {joiner.docker.problem}",
            returned=1,
            host=host.name,
            hint=f"inv -H {host.name} doctor",
        )
