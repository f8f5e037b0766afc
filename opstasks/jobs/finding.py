"""From what an operator types to one job on one host; no task of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opstasks.cli.app import Context
from opstasks.core.errors import Refused

if TYPE_CHECKING:
    from opstasks.fleet.host import Host
    from opstasks.jobs.model import Match

# How many candidates a person is shown.
CANDIDATES = 20
JOB_HELP = "A job's id, or part of its id or of workspace-action; without it, choose by number."
WHERE = "look with `jobs.ls --all`"


def takes_words(task: Any) -> None:
    """Let a task take jobs as plain words: ``jobs.show abc`` for ``jobs.show --job abc``.

    Invoke's own positional arguments cannot be left out.
    """
    task.variadic = "--job"


def one(ctx: Context, word: str, *, contained: bool = False) -> tuple[Host, Match]:
    """The job that a word means; without a word, one of the running jobs, by number.

    `contained` leaves only jobs that have a container or a volume to choose from.
    Raises Refused for none, and for several when nobody can be asked.
    """
    word = word or _running(ctx)
    ((host, match),) = several(ctx, [word], contained=contained)
    return host, match


def several(
    ctx: Context, words: Sequence[str], *, contained: bool = False, changing: bool = False
) -> list[tuple[Host, Match]]:
    """The jobs that words mean, each once, in the order of the words.

    `changing` is stricter: part of an id means nothing while a host cannot be asked.
    """
    from opstasks.jobs import find as workflow
    from opstasks.jobs import model as jobs

    words = list(dict.fromkeys(jobs.check_needle(word) for word in words))
    reading = not (contained or changing)
    result = ctx.fleet.gather(lambda host: workflow.find(host, words, without_docker=reading))
    if not result.values:
        ctx.finish(result)
    if result.exit_code:
        ctx.console.problems(result)
    silent = [item.host for item in result if not item.good]
    by_name = {host.name: host for host in ctx.fleet.hosts}
    chosen: dict[tuple[str, str], Match] = {}
    for word in words:
        found = workflow.meant(word, [m for value in result.values.values() for m in value[word]])
        if contained:
            found = _contained(word, found)
        match = _the_one(ctx, word, found, silent)
        if len(found) > 1:
            # Of many only the outlines were asked for.
            host = by_name[match.host]
            (match,) = workflow.by_ids(host, [match.job.id], without_docker=reading)
        if changing and silent and match.job.id != word:
            raise Refused(
                f"{word!r} may mean another job on {', '.join(silent)}",
                hint=f"give the whole id, {match.job.id}, or leave them out with -H",
            )
        chosen[match.host, match.job.id] = match
    return [(by_name[match.host], match) for match in chosen.values()]


def _contained(word: str, found: list[Match]) -> list[Match]:
    """Those that can be looked into; raises Refused when there are only others."""
    from opstasks.jobs.onhost.jobs import MATCHES

    inside = [match for match in found if match.container or match.volume]
    if found and not inside:
        job, many = found[0].job, len(found) > 1
        count = f"first {MATCHES}" if len(found) > MATCHES else f"{len(found)}"
        what = f"none of the {count} jobs that match {word!r} has" if many else ""
        yet = " yet" if job.is_active and not many else ""
        hint = "jobs.show" if job.is_active else "jobs.logs"
        raise Refused(
            f"{what or f'{job.id} ({job.state}, {job.status_code}) has'}"
            f" {'a' if many else 'no'} container or volume{yet}",
            host="" if many else found[0].host,
            hint=WHERE if many else f"{hint} {job.id}",
        )
    return inside


def _the_one(ctx: Context, word: str, found: list[Match], silent: Sequence[str]) -> Match:
    if not found:
        asked = [host.name for host in ctx.fleet.hosts if host.name not in silent]
        raise Refused(f"no job matches {word!r} on {', '.join(asked)}", hint=WHERE)
    if len(found) == 1:
        return found[0]
    lines = [match.describe() for match in found[:CANDIDATES]]
    count = f"more than {CANDIDATES}" if len(found) > CANDIDATES else str(len(found))
    return found[ctx.pick(f"{count} jobs match {word!r}.", lines)]


def _running(ctx: Context) -> str:
    """The id of one of the running jobs, chosen by a person."""
    from opstasks.jobs import find as workflow
    from opstasks.jobs.model import Match, Selection

    selection = Selection(("running",))
    result = ctx.fleet.gather(lambda host: workflow.read(host, selection, 100).joined())
    ctx.console.problems(result)
    found = [Match(host, job) for host, value in result.values.items() for job in value]
    if not found:
        ctx.end(result)
        raise Refused("no job is running", hint=WHERE)
    return found[ctx.pick("Running jobs:", [match.describe() for match in found])].job.id
