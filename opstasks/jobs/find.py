"""Listing jobs, and finding the one that is meant (playbook: "Debugging jobs")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from opstasks.core import durations
from opstasks.core.errors import CommandFailed, ProgramFailed, Refused, TimedOut
from opstasks.fleet.host import Host
from opstasks.jobs import model as jobs
from opstasks.jobs.model import Database, Job, Match, Selection
from opstasks.primitives import journal

# Rows of one answer: 40 000 jobs are four round trips.
PAGE_ROWS = 10_000
# Rows of one line of a stream: neither host nor client ever holds more.
STREAM_ROWS = 500
DAY_S = 86400
JOURNAL_WITHIN_S = 20


# -- listing ---------------------------------------------------------------------------------


def select(state: str, workspace: str, since: str, *, everything: bool) -> Selection:
    """Which jobs an operator asks for: the running ones unless told otherwise; raises Refused."""
    if state and state not in jobs.STATES:
        raise Refused(f"there is no state {state!r}", hint=f"states: {', '.join(jobs.STATES)}")
    states = (state,) if state else () if everything or since else ("running",)
    if not workspace.isprintable():
        raise Refused(f"{workspace!r} is no workspace", hint="`jobs.ls --all` shows their names")
    span, moment = since_of(since)
    return Selection(states, workspace, since=moment, since_s=span)


def since_of(text: str) -> tuple[float, float]:
    """A span or a date: (seconds before now, seconds since the epoch); raises Refused.

    A span counts back by the host's clock.
    """
    if not text:
        return 0.0, 0.0
    if durations.is_span(text):
        return float(durations.parse(text)), 0.0
    return 0.0, durations.moment(text, datetime.now(UTC)).timestamp()


@dataclass(frozen=True)
class Listing:
    """Jobs of a host for a table; `docker_error` says why nothing is known of containers.

    `now` is the host's own clock, in seconds since the epoch.
    """

    jobs: tuple[Job, ...]
    docker_error: str = ""
    now: float = 0.0


def listing(host: Host, selection: Selection, limit: int) -> Listing:
    """The jobs of a host, newest first, with what docker knows of them; `limit` 0 means all.

    Containers that no job stands for come at the end, unless the selection would hide them.
    """
    first: Database | None = None
    after: tuple[float, str] | None = None
    found: list[Job] = []
    while True:
        size = min(PAGE_ROWS, limit - len(found)) if limit else PAGE_ROWS
        page = _checked(host, selection, size, after, with_docker=first is None)
        first = first or page
        page = replace(page, containers=first.containers, docker_error=first.docker_error)
        found += page.joined()
        if not page.more or (limit and len(found) >= limit):
            strays = _strays(first, selection, {job.id for job in found})
            return Listing((*found, *strays), first.docker_error, page.now)
        after = (found[-1].created, found[-1].id)


def read(host: Host, selection: Selection, limit: int) -> Database:
    """One answer of a host; raises Refused when there is none."""
    return _checked(host, selection, limit, None, with_docker=True)


def stream(
    host: Host, selection: Selection, limit: int, hand_on: Callable[[Sequence[Job]], None]
) -> None:
    """Any number of jobs, newest first, handed on as they come; `limit` 0 means all."""
    taken = jobs.Pages(hand_on, strays=_may_stray(selection))
    command = jobs.stream_command(host.spec, selection, limit, STREAM_ROWS)
    result = host.service.stream(command, taken.take)
    if taken.error:
        raise jobs.unreadable(host.name, taken.error)
    if not taken.ended:
        raise CommandFailed(
            "the list of jobs broke off",
            returned=result.code,
            host=host.name,
            tail=result.tail(),
            hint="run it again",
        )
    if taken.docker_error:
        error = no_docker(host.name, taken.docker_error)
        raise CommandFailed(error.message, returned=1, host=host.name, hint=error.hint)


def no_docker(host: str, problem: str) -> Refused:
    """The error for what cannot be known, or done, without docker."""
    return Refused(f"containers are not known: {problem}", host=host, hint=f"inv -H {host} doctor")


def _strays(first: Database, selection: Selection, shown: set[str]) -> tuple[Job, ...]:
    if not _may_stray(selection):
        return ()
    return tuple(job for job in first.strays() if job.id not in shown)


def _may_stray(selection: Selection) -> bool:
    hidden = selection.workspace or selection.since or selection.since_s
    return not hidden and selection.states in ((), ("running",))


def _checked(
    host: Host,
    selection: Selection,
    limit: int,
    after: tuple[float, str] | None,
    *,
    with_docker: bool,
) -> Database:
    command = jobs.read_command(
        host.spec, limit=limit, selection=selection, after=after, with_docker=with_docker
    )
    found = jobs.parse(host.service.output(command))
    if found.error:
        raise jobs.unreadable(host.name, found.error)
    return found


# -- finding ---------------------------------------------------------------------------------


def find(
    host: Host, words: Sequence[str], *, without_docker: bool = False
) -> dict[str, tuple[Match, ...]]:
    """The jobs of a host that each word may mean, in one round trip.

    Raises Refused where docker does not answer, unless its part may be missing.
    """
    text = host.service.output(jobs.find_command(host.spec, words))
    found = jobs.parse_matches(host.name, text)
    for match in () if without_docker else (m for many in found.values() for m in many):
        if match.docker_error:
            raise no_docker(host.name, match.docker_error)
    return found


def by_ids(host: Host, ids: Sequence[str], *, without_docker: bool = False) -> list[Match]:
    """Jobs by their whole ids, in that order, looked at closely; Refused for one that is gone."""
    found = find(host, ids, without_docker=without_docker)
    gone = [id for id in ids if [match.job.id for match in found[id]] != [id]]
    if gone:
        raise Refused(f"no job {', '.join(gone)} here any more", host=host.name)
    return [found[id][0] for id in ids]


def meant(word: str, found: Sequence[Match]) -> list[Match]:
    """Of all hosts' matches those that count: whole ids, or else parts, active ones first."""
    whole = [match for match in found if match.job.id == word]
    return whole or sorted(found, key=lambda m: (not m.job.is_active, -m.job.created))


# -- a close look ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """A point of a job's life: `time` in seconds since the epoch."""

    time: float
    name: str
    text: str = ""


def timeline(match: Match, statuses: Sequence[tuple[float, str, str]] = ()) -> tuple[Moment, ...]:
    """What became of a job, in order: database, the service's lines and docker together."""
    job, container = match.job, match.container
    # The database keeps whole seconds; the last status was reached when the job completed.
    completed = max(job.completed, *(time for time, _, _ in statuses), 0) if job.completed else 0
    moments = [
        Moment(job.created, "created"),
        Moment(job.started, "started"),
        *(Moment(time, code, text) for time, code, text in statuses),
        Moment(completed, "completed", f"{job.state}: {job.status_message}"),
    ]
    if container:
        exit_text = f"exit code {container.exit_code}"
        exit_text += ", out of memory" if container.oom_killed else ""
        moments += [
            Moment(container.started, "container started"),
            Moment(container.finished, "container ended", exit_text),
        ]
    if not job.completed and job.status_code not in {code for _, code, _ in statuses}:
        moments.append(Moment(job.updated, job.status_code, job.status_message))
    return tuple(sorted((m for m in moments if m.time and m.name), key=lambda m: m.time))


@dataclass(frozen=True)
class Life:
    """A job's timeline; `missing` says why the service's own lines are not in it."""

    moments: tuple[Moment, ...]
    missing: str = ""


def life(host: Host, match: Match) -> Life:
    """What became of a job, with the service's lines about it, from a day before to a day after."""
    created, completed = match.job.created, match.job.completed
    request = journal.unit_records(
        host.spec.unit,
        f"id={match.job.id}",
        since_time=f"{datetime.fromtimestamp(max(0.0, created - DAY_S), UTC):%Y-%m-%d}",
        until_at=completed + DAY_S if completed else 0,
    )
    lines: tuple[str, ...] = ()
    missing = ""
    try:
        lines = host.service.call(journal.RECORDS, request, timeout_s=JOURNAL_WITHIN_S).lines
    except TimedOut:
        missing = f"the journal took more than {JOURNAL_WITHIN_S} s"
    except (Refused, ProgramFailed, CommandFailed) as error:
        missing = f"the journal cannot be read: {error.tail or error.message}"
    return Life(timeline(match, jobs.statuses(list(lines))), missing)
