"""Find the job that a person means: by a word on the hosts, or by number from a list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from opstasks.cli.app import Context
from opstasks.core.errors import Incomplete, Refused
from opstasks.core.fields import Count, Line, Moment
from opstasks.core.hints import one_word
from opstasks.core.state import HostState
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.jobs.join import join
from opstasks.jobs.model import Container, Job, LogFile, Match
from opstasks.jobs.onhost.find import MATCHES
from opstasks.jobs.read import (
    JobSelection,
    JobsRequest,
    read_jobs,
    refusals_explained,
    volumes_folder,
)

MAX_WORD_LENGTH = 300
# Every id that job-runner makes: ten bytes in base 32.
_ID = re.compile(r"[a-z2-7]{16}")
# At most this many candidates are shown.
CANDIDATES = 20
HINT = "see `jobs.ls --all`"


# -- on a host -------------------------------------------------------------------------------


class FindRequest(msgspec.Struct, frozen=True):
    """`logs` and `volumes` are folders of the host."""

    database: str
    words: tuple[str, ...]
    logs: str
    volumes: str


@dataclass(frozen=True)
class FoundJob:
    """A job that matches a word; the fields are those of `opstasks.jobs.model.Match`."""

    job: Job
    row: dict[str, Any]
    container: Container | None = None
    volume: tuple[Line, Line] | None = None
    logs: tuple[LogFile, ...] = field(default_factory=tuple)
    docker_problem: Line = ""
    alike: Count = 0


@dataclass(frozen=True)
class FindAnswer:
    """The matching jobs by word; `now` is the host's clock in seconds since the epoch."""

    now: Moment
    matches: dict[Line, tuple[FoundJob, ...]]


FIND = Program("opstasks.jobs.onhost.find", FindRequest, FindAnswer)


def find(
    host: Host, words: Sequence[str], *, without_docker: bool = False
) -> dict[str, tuple[Match, ...]]:
    """The jobs of a host that match each word, in one round trip.

    Raises Refused when the database cannot be read. Raises Refused when docker does not answer,
    unless `without_docker` is set.
    """
    spec = host.spec
    logs, volumes = f"{spec.high_privacy}/logs", volumes_folder(spec)
    request = FindRequest(spec.database, tuple(words), logs, volumes)
    with refusals_explained(host.name):
        answer = host.service.call(FIND, request)
    found = {
        word: tuple(_match(host.name, item, answer.now) for item in answer.matches.get(word, ()))
        for word in words
    }
    for word, many in found.items():
        if any(word not in match.job.name for match in many):
            raise FIND.invalid("a job that does not match", host.name)
    problems = [m.docker_problem for many in found.values() for m in many if m.docker_problem]
    if problems and not without_docker:
        raise no_docker(host.name, problems[0])
    return found


def _match(host: str, found: FoundJob, now: float) -> Match:
    return Match(
        host=host,
        job=_joined(found, now),
        container=found.container,
        volume=found.volume,
        logs=found.logs,
        docker_problem=found.docker_problem,
        row=found.row,
        alike=found.alike,
        now=now,
    )


def _joined(found: FoundJob, now: float) -> Job:
    """Without docker's answer, a missing container means nothing."""
    if found.docker_problem:
        return found.job
    return join(found.job, found.container, now, has_volume=found.volume is not None)


def find_ids(host: Host, ids: Sequence[str], *, without_docker: bool = False) -> list[Match]:
    """Jobs by their whole ids, in the order of `ids`, in one round trip.

    Raises what `find` raises, and Refused when a job no longer exists.
    """
    found = find(host, ids, without_docker=without_docker)
    gone = [id for id in ids if [match.job.id for match in found[id]] != [id]]
    if gone:
        raise Refused(f"job {', '.join(gone)} no longer exists", host=host.name)
    return [found[id][0] for id in ids]


def find_again(host: Host, ids: Sequence[str], hint: str) -> list[Match]:
    """Jobs after a change of them began; their containers are unknown if docker does not answer.

    Raises Incomplete, with the hint, when the database cannot be read.
    """
    try:
        return find_ids(host, ids, without_docker=True)
    except Refused as refused:
        raise Incomplete(
            f"begun for {', '.join(ids)}, but the result is not known: {refused.message}",
            host=host.name,
            tail=refused.tail,
            hint=hint,
        ) from refused


def state_of(found: Sequence[Match]) -> HostState:
    """The jobs as they were read, as typed claims."""
    return HostState(jobs={match.job.id: match.job.status for match in found})


def no_docker(host: str, problem: str) -> Refused:
    """The error for a command that needs docker when docker does not answer."""
    return Refused(
        f"cannot read the containers: {problem}", host=host, hint=f"inv -H {host} doctor"
    )


# -- which one -------------------------------------------------------------------------------


def check_word(text: str) -> str:
    """The word, if it can name a job; raises Refused otherwise."""
    reason = ""
    if not text.strip():
        reason = "is empty"
    elif len(text) > MAX_WORD_LENGTH:
        reason = f"is longer than {MAX_WORD_LENGTH} characters"
    elif not text.isprintable():
        reason = "contains characters that cannot be printed"
    if reason:
        raise Refused(
            f"the job {text[:60]!r} {reason}",
            hint="give an id, or part of an id or of workspace-action; `jobs.ls` shows them",
        )
    return text


def is_id(word: str) -> bool:
    """Whether a word is a whole id. A shorter word is a part, even if a host says it is an id.

    Otherwise a host could attract a command for a job of another host.
    """
    return _ID.fullmatch(word) is not None


def candidates(word: str, found: Sequence[Match]) -> list[Match]:
    """The jobs with the whole id `word`; if there are none, all matches, active jobs first."""
    whole = [match for match in found if is_id(word) and match.job.id == word]
    return whole or sorted(found, key=lambda m: (not m.job.is_active, -m.job.created_at))


def with_contents(word: str, found: list[Match]) -> list[Match]:
    """The jobs that have a container or a volume; raises Refused when no match has one."""
    inside = [match for match in found if match.container or match.volume]
    if not found or inside:
        return inside
    if len(found) > 1:
        count = f"first {MATCHES}" if len(found) > MATCHES else f"{len(found)}"
        raise Refused(
            f"none of the {count} jobs that match {word!r} has a container or volume", hint=HINT
        )
    job = found[0].job
    raise Refused(
        f"{job.describe()} has no container or volume{' yet' if job.is_active else ''}",
        host=found[0].host,
        hint=f"{'jobs.show' if job.is_active else 'jobs.logs'} {one_word(job.id)}",
    )


# -- asking a person -------------------------------------------------------------------------


def find_one(ctx: Context, word: str, *, contained: bool = False) -> tuple[Host, Match]:
    """The job that a word means; without a word, one of the running jobs, chosen by number.

    `contained` offers only jobs that have a container or a volume. Raises Refused when no job
    matches, and when several match but there is no terminal to ask on.
    """
    if word:
        ((host, match),) = find_several(ctx, [word], contained=contained)
        return host, match
    host, id = _running(ctx)
    (match,) = find_ids(host, [id], without_docker=not contained)
    return host, with_contents(id, [match])[0] if contained else match


def find_several(
    ctx: Context, words: Sequence[str], *, contained: bool = False, changing: bool = False
) -> list[tuple[Host, Match]]:
    """The jobs that the words mean, without duplicates, in the order of the words.

    `changing` is stricter: it refuses part of an id while a host does not answer.
    """
    words = list(dict.fromkeys(check_word(word) for word in words))
    reading = not (contained or changing)
    result = ctx.fleet.gather(lambda host: find(host, words, without_docker=reading))
    ctx.seen("jobs", result.values, lambda found: [m.job.known_as for w in words for m in found[w]])
    if not result.values:
        ctx.finish(result)
    if result.exit_code:
        ctx.console.problems(result)
    silent = [item.host for item in result if not item.good]
    by_name = {host.name: host for host in ctx.fleet.hosts}
    chosen: dict[tuple[str, str], Match] = {}
    for word in words:
        found = candidates(word, [m for value in result.values.values() for m in value[word]])
        if contained:
            found = with_contents(word, found)
        match = _the_one(ctx, word, found, silent)
        if len(found) > 1:
            # For several matches, the host reads only an outline of each: read this one in full.
            (match,) = find_ids(by_name[match.host], [match.job.id], without_docker=reading)
        if changing and silent and not is_id(word):
            raise Refused(
                f"{word!r} may mean another job on {', '.join(silent)}",
                hint=f"give the whole id, {one_word(match.job.id)}, or leave hosts out with -H",
            )
        chosen[match.host, match.job.id] = match
    return [(by_name[match.host], match) for match in chosen.values()]


def _the_one(ctx: Context, word: str, found: list[Match], silent: Sequence[str]) -> Match:
    if not found:
        asked = [host.name for host in ctx.fleet.hosts if host.name not in silent]
        raise Refused(f"no job matches {word!r} on {', '.join(asked)}", hint=HINT)
    if len(found) == 1:
        return found[0]
    lines = [match.describe() for match in found[:CANDIDATES]]
    count = f"more than {CANDIDATES}" if len(found) > CANDIDATES else str(len(found))
    return found[ctx.pick(f"{count} jobs match {word!r}.", lines)]


def _running(ctx: Context) -> tuple[Host, str]:
    """The host and the id of one of the running jobs, chosen by a person."""

    def running(host: Host) -> tuple[Job, ...]:
        selection = JobSelection(("running",))
        request = JobsRequest(host.spec.database, selection, 100, with_docker=True)
        return read_jobs(host, request).joined()

    result = ctx.fleet.gather(running)
    ctx.seen("jobs", result.values, lambda found: [job.known_as for job in found])
    ctx.console.problems(result)
    found = [Match(host, job) for host, value in result.values.items() for job in value]
    if not found:
        if result.exit_code:
            ctx.finish(result)
        raise Refused("no job is running", hint=HINT)
    chosen = found[ctx.pick("Running jobs:", [match.describe() for match in found])]
    return next(host for host in ctx.fleet.hosts if host.name == chosen.host), chosen.job.id
