"""Find jobs on a host: by their ids, or by words that a person types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from opstasks.core.errors import Incomplete, Refused
from opstasks.core.fields import Count, Line, Moment, Small
from opstasks.core.hints import quoted
from opstasks.core.state import HostState
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.jobs.join import join
from opstasks.jobs.model import Container, Job, LogFile, Match
from opstasks.jobs.read import refusals_explained, volumes_folder

MAX_WORD_LENGTH = 300
# Every id that job-runner makes: ten bytes in base 32.
_ID = re.compile(r"[a-z2-7]{16}")


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
    exit_code: Small | None = None


@dataclass(frozen=True)
class FindAnswer:
    """The matching jobs by word; `now` is the host's clock in seconds since the epoch."""

    now: Moment
    matches: dict[Line, tuple[FoundJob, ...]]


FIND = Program("opstasks.jobs.onhost.find", FindRequest, FindAnswer)


def find(host: Host, words: Sequence[str]) -> dict[str, tuple[Match, ...]]:
    """The jobs of a host that match each word, in one round trip.

    Raises Refused when the database cannot be read. A job of which docker says nothing hides no
    other: see `need_containers`.
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
        recorded_exit_code=found.exit_code,
    )


def _joined(found: FoundJob, now: float) -> Job:
    """Without docker's answer, a missing container means nothing."""
    if found.docker_problem:
        return found.job
    return join(found.job, found.container, now, has_volume=found.volume is not None)


def find_ids(host: Host, ids: Sequence[str], *, without_docker: bool = False) -> list[Match]:
    """Jobs by their whole ids, in the order of `ids`, in one round trip.

    Raises what `find` raises, and Refused when a job no longer exists. Raises what
    `need_containers` raises, unless `without_docker` is set.
    """
    found = find(host, ids)
    gone = [id for id in ids if [match.job.id for match in found[id]] != [id]]
    if gone:
        raise Refused(f"job {', '.join(gone)} no longer exists", host=host.name)
    matches = [found[id][0] for id in ids]
    if not without_docker:
        need_containers(matches)
    return matches


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


def need_containers(matches: Sequence[Match]) -> None:
    """Raise Refused if docker did not say which container one of these jobs has."""
    for match in matches:
        if match.docker_problem:
            raise no_docker(match)


def no_docker(match: Match) -> Refused:
    """The error for a job of which docker says nothing: it may not answer at all."""
    return Refused(
        f"cannot read the container of {match.job.id}: {match.docker_problem}",
        host=match.host,
        hint=f"inv -H {match.host} doctor; if docker answers, see its log: journalctl -u docker",
    )


# -- words -------------------------------------------------------------------------------------


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
            f"the job {quoted(text, 60)} {reason}",
            hint="give an id, or part of an id or of workspace-action; jobs.ls shows them",
        )
    return text


def is_id(word: str) -> bool:
    """Whether a word is a whole id. A shorter word is a part, even if a host says it is an id.

    Otherwise a host could attract a command for a job of another host.
    """
    return _ID.fullmatch(word) is not None
