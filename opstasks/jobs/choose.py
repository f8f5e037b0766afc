"""Which job a person means: by a word on the selected hosts, or by number from a list."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Sequence

from opstasks.cli.context import Context
from opstasks.cli.questions import NUMBER_COLUMNS
from opstasks.cli.retyped import has_secret
from opstasks.core.clock import Clock
from opstasks.core.errors import Refused
from opstasks.core.hints import one_word, program, quoted
from opstasks.fleet.host import Host
from opstasks.jobs.find import check_word, find, find_ids, is_id, need_containers
from opstasks.jobs.model import Job, Match
from opstasks.jobs.onhost.find import MATCHES
from opstasks.jobs.read import JobSelection, JobsRequest, read_jobs
from opstasks.jobs.words import command_for, state_part
from opstasks.output.parts import text_of_line
from opstasks.output.table import Column, draw

# At most this many jobs are offered.
CHOICES = 20
# The columns of a list to choose from; the id comes first after the host, and is whole.
COLUMNS = (
    Column("HOST", long="clip", least=10),
    Column("JOB"),
    Column("NAME", long="clip", least=10),
    Column("STATE", long="clip", least=9),
    Column("CREATED", rank=1),
)


# -- pure decisions ----------------------------------------------------------------------------


def candidates(word: str, found: Sequence[Match]) -> list[Match]:
    """The jobs with the whole id `word`; if there are none, all matches, newest first."""
    whole = [match for match in found if is_id(word) and match.job.id == word]
    return whole or newest_first(found)


def newest_first(found: Sequence[Match]) -> list[Match]:
    """Jobs by the time of their creation."""
    return sorted(found, key=lambda match: -match.job.created_at)


def with_contents(word: str, found: list[Match]) -> list[Match]:
    """The jobs that have a container or a volume; raises Refused when no match has one.

    One of which docker says nothing may have them.
    """
    inside = [m for m in found if m.container or m.volume or m.docker_problem]
    if not found or inside:
        return inside
    first = found[0]
    if len(found) > 1:
        hosts = ",".join(dict.fromkeys(match.host for match in found))
        count = f"first {MATCHES}" if len(found) > MATCHES else f"{len(found)}"
        raise Refused(
            f"none of the {count} jobs that match {quoted(word)} has a container or volume",
            hint=f"inv -H {hosts} jobs.ls",
        )
    job = first.job
    raise Refused(
        f"{job.describe()} has no container or volume{' yet' if job.is_active else ''}",
        host=first.host,
        hint=command_for(first.host, "jobs.show" if job.is_active else "jobs.logs", job.id),
    )


def retyped(words: Sequence[str], places: Collection[int], word: str, id: str) -> str:
    """The command line that a person typed, with a job's id in place of the word for it.

    `places` are those of jobs in the line: the same word may be a host, too. Its other flags stay:
    without its --no-cleanup, a command would do something else.
    """
    shown = one_word(id)
    with_id = {word: shown, f"--job={word}": f"--job={shown}"} if word else {}
    found = [
        with_id.get(each, shlex.quote(each)) if place in places else shlex.quote(each)
        for place, each in enumerate(words)
    ]
    if not word:
        end = found.index("--") if "--" in found else len(found)
        found.insert(end, shown)
    return " ".join([program(), *found])


def choices(found: Sequence[Match], clock: Clock, width: int) -> list[str]:
    """A line for each job, for a window of a width (0: no limit)."""
    rows = [
        [m.host, m.job.id, f"{m.job.workspace} / {m.job.action}", state_part(m.job), created]
        for m in found
        for created in [clock.text(m.job.created_at)]
    ]
    table = draw(COLUMNS, rows, width)
    if table.layout is None:  # each row became several lines
        table = draw(COLUMNS, rows, 0)
    return [text_of_line(line).rstrip() for line in table.lines[1:]]


# -- asking a person ---------------------------------------------------------------------------


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
    result = ctx.fleet.gather(lambda host: find(host, words))
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
            (match,) = find_ids(by_name[match.host], [match.job.id], without_docker=True)
        if not reading:
            need_containers([match])
        if changing and silent and not is_id(word):
            raise Refused(
                f"{quoted(word)} may mean another job on {', '.join(silent)}",
                hint=f"give the whole id, {one_word(match.job.id)}, or leave hosts out with -H",
            )
        chosen[match.host, match.job.id] = match
    return [(by_name[match.host], match) for match in chosen.values()]


def _the_one(ctx: Context, word: str, found: list[Match], silent: Sequence[str]) -> Match:
    if not found:
        asked = [host.name for host in ctx.fleet.hosts if host.name not in silent]
        raise Refused(
            f"no job matches {quoted(word)} on {', '.join(asked)}",
            hint=ctx.command_text("jobs.ls --all"),
        )
    if len(found) == 1:
        return found[0]
    offered = "newest first"
    if len(found) > CHOICES:
        offered = f"the newest {CHOICES} are shown, newest first"
    count = f"more than {MATCHES}" if len(found) > MATCHES else str(len(found))
    return _pick(ctx, f"{count} jobs match {quoted(word)}; {offered}.", found[:CHOICES], word)


def _pick(ctx: Context, question: str, found: Sequence[Match], word: str = "") -> Match:
    """The job that a person chooses by number; raises Refused with commands in a pipe."""
    from opstasks.core.window import size_of

    lines = choices(found, ctx.clock, size_of(sys.stderr)[0] - NUMBER_COLUMNS)
    typed, places = ctx.options.typed, ctx.places_of("--job")
    # An error may be kept in a log, where the line that was typed is not.
    matches = [] if has_secret(typed) else found
    commands = [retyped(typed, places, word, match.job.id) for match in matches]
    return found[ctx.pick(question, lines, commands)]


def _running(ctx: Context) -> tuple[Host, str]:
    """The host and the id of one of the running jobs, chosen by a person."""

    def running(host: Host) -> tuple[Job, ...]:
        selection = JobSelection(("running",))
        request = JobsRequest(host.spec.database, selection, 100, with_docker=True)
        return read_jobs(host, request).joined()

    result = ctx.fleet.gather(running)
    ctx.seen("jobs", result.values, lambda found: [job.known_as for job in found])
    ctx.console.problems(result)
    found = newest_first([Match(host, job) for host, jobs in result.values.items() for job in jobs])
    if not found:
        if result.exit_code:
            ctx.finish(result)
        raise Refused("no job is running", hint=ctx.command_text("jobs.ls --all"))
    chosen = _pick(ctx, f"{len(found)} running, newest first.", found)
    return next(host for host in ctx.fleet.hosts if host.name == chosen.host), chosen.job.id
