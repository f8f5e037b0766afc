"""`jobs.logs`, `jobs.follow`: what a job printed (playbook: "View the logs of ... jobs")."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from opstasks.cli.context import Context
from opstasks.cli.task import LINES, NOT_FOR_SCREENS, Flag, task
from opstasks.core.errors import INTERRUPTED, OK, Interrupted
from opstasks.jobs.job_argument import JOB_HELP
from opstasks.output.parts import dim

if TYPE_CHECKING:
    from opstasks.fleet.host import Host
    from opstasks.jobs.logs import LogSource
    from opstasks.jobs.model import Match

LOGS_HELP: dict[str, str | Flag] = {
    "job": JOB_HELP,
    "lines": replace(LINES, excludes=NOT_FOR_SCREENS),
    "timestamps": Flag("Show when each line was printed.", excludes=NOT_FOR_SCREENS),
}


@task(
    changes=False,
    variadic="job",
    help={
        **LOGS_HELP,
        "follow": Flag(
            "Follow the output until the job ends; exit with the job's exit code.", short="f"
        ),
        "metadata": Flag(
            "Show the metadata.json of an ended job instead, secrets masked.",
            excludes=("follow", "lines", "timestamps"),
        ),
    },
)
def logs(
    ctx: Context,
    job: str = "",
    follow: bool = False,
    lines: int = 100,
    timestamps: bool = False,
    metadata: bool = False,
) -> None:
    """Show the output of a running or ended job; contents go only to a terminal.

    Example: inv -H all jobs.logs abc123 --follow
    """
    from opstasks.jobs.choose import find_one

    host, match = find_one(ctx, job)
    if metadata:
        _metadata(ctx, host, match)
    else:
        _contents(ctx, host, match, follow=follow, lines=lines, timestamps=timestamps)


@task(changes=False, variadic="job", help=LOGS_HELP)
def follow(ctx: Context, job: str = "", lines: int = 100, timestamps: bool = False) -> None:
    """Follow the output of a running job; without one, choose by number.

    Example: inv -H tpp jobs.follow
    """
    from opstasks.jobs.choose import find_one

    host, match = find_one(ctx, job, contained=True)
    _contents(ctx, host, match, follow=True, lines=lines, timestamps=timestamps)


def may_show(ctx: Context, host: Host) -> bool:
    """Whether contents may be written to our output (the privacy boundary)."""
    interactive = sys.stdout.isatty() and not ctx.options.json
    return interactive or host.spec.privacy.contents_in_pipes


def _contents(
    ctx: Context, host: Host, match: Match, *, follow: bool, lines: int, timestamps: bool
) -> None:
    from opstasks.jobs import logs as jobs_logs

    where = jobs_logs.source(match)
    if not may_show(ctx, host) or ctx.options.json:
        _summary(ctx, host, match, where, follow=follow)
        return
    for line in jobs_logs.heading(host.name, match, where, lines):
        ctx.console.note(dim(line))
    try:
        code = jobs_logs.show(
            host,
            where,
            lambda texts: ctx.console.lines(host.name, texts, prefixed=False),
            lines=lines,
            timestamps=timestamps,
            follow=follow,
        )
    except KeyboardInterrupt:
        goes_on = "; the job continues" if where.running else ""
        if follow:
            ctx.console.note()  # the terminal shows ^C where the cursor is
            ctx.console.note(f"stopped following{goes_on}")
            raise Exit(code=INTERRUPTED) from None
        raise Interrupted(f"interrupted; nothing was changed{goes_on}") from None
    if follow and where.container:
        _say_end(ctx, None if code == jobs_logs.NO_CODE else code)


def _summary(ctx: Context, host: Host, match: Match, where: LogSource, *, follow: bool) -> None:
    """Instead of the contents, show where they are and their size."""
    from opstasks.core.formats import size_text
    from opstasks.jobs import logs as jobs_logs

    found = jobs_logs.summarise(host, match, where, follow=follow)
    size = f"{found.lines} lines, {size_text(found.size_bytes)}"
    ctx.console.say(f"{host.name}: {where.describe()}: {size}")
    if not ctx.options.json:
        ctx.console.note("contents of job logs go only to a terminal (hosts.yaml: privacy)")
    code = jobs_logs.NO_CODE if found.exit_code is None else found.exit_code
    has_ended = follow and where.running
    _document(ctx, host, found, code if has_ended else OK)
    if has_ended:
        _say_end(ctx, found.exit_code)


def _document(ctx: Context, host: Host, value: object, exit_code: int = OK) -> None:
    """Print the value of the one host with --json, and the exit code that is ours."""
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.output.documents import fleet_document

    if ctx.options.json:
        result = FleetResult([HostResult(host.name, "ok", value)])
        shown = fleet_document(result, ctx.console.fields)
        ctx.console.document({**shown, "exit_code": exit_code})
        ctx.end(result)


def _say_end(ctx: Context, code: int | None) -> None:
    """Say how a followed job ended; its exit code becomes ours."""
    from opstasks.jobs import logs as jobs_logs
    from opstasks.jobs.words import exit_text

    if code is None:
        # 125 means that docker itself failed, but a job may also end with it.
        ctx.console.note("the job has ended with exit code 125, or docker did not report it")
        raise Exit(code=jobs_logs.NO_CODE)
    ctx.console.note(f"the job has ended with exit code {exit_text(code)}")
    if code:
        raise Exit(code=code)


def _metadata(ctx: Context, host: Host, match: Match) -> None:
    import json

    from opstasks.core.formats import size_text
    from opstasks.jobs.logs import JobMetadata, metadata_path, read_metadata

    path = metadata_path(match)
    size_bytes = next(file.size_bytes for file in match.logs if file.path == path)
    if not may_show(ctx, host):
        ctx.console.say(f"{host.name}: {path}: {size_text(size_bytes)}")
        if not ctx.options.json:
            ctx.console.note("its contents go only to a terminal (hosts.yaml: privacy)")
        _document(ctx, host, JobMetadata(match.job.id, path, size_bytes))
        return
    found = read_metadata(host, match)
    _document(ctx, host, JobMetadata(match.job.id, path, size_bytes, found.metadata))
    if not ctx.options.json:
        for line in json.dumps(found.metadata, indent=2, ensure_ascii=False).split("\n"):
            ctx.console.line(host.name, line, prefixed=False)
    if found.exposed:
        ctx.console.note(
            f"the file itself contains the values of {', '.join(found.exposed)} unmasked:"
            " anyone who can read the file can read them"
        )
