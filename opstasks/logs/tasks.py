"""`logs`: the service's own log (playbook: "Viewing job-runner logs")."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from invoke import task

from opstasks.cli.app import Context

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.fleet.host import Host
    from opstasks.logs.read import WantedLog


@task(
    help={
        "lines": "How many lines of each host, counted from the end (0: all).",
        "since": "Only lines since then: 90s, 1h30m, 2d, yesterday or '2026-11-24 10:00' (UTC).",
        "follow": "Go on showing new lines until Ctrl-C.",
        "job": "Only records that mention this job id, tracebacks included.",
    },
    auto_shortflags=False,
)
def logs(
    ctx: Context, lines: int = 100, since: str = "", follow: bool = False, job: str = ""
) -> None:
    """Show job-runner's log, of many hosts merged by time; never through a pager.

    Example: inv -H prod logs --since 1h --job abc123
    """
    from opstasks.logs.read import WantedLog, read

    wanted = WantedLog(lines, since, job)
    _check(ctx, wanted, follow=follow)
    if follow:
        _follow(ctx, wanted)
        return
    result = ctx.fleet.gather(lambda host: read(host, wanted))
    if not ctx.options.json:
        _show(ctx, result, job)
    ctx.finish(result)


def _check(ctx: Context, wanted: WantedLog, *, follow: bool) -> None:
    """Raise Refused for wrong flags, before any host is asked."""
    from opstasks.core import durations
    from opstasks.core.errors import Refused

    if wanted.lines < 0:
        raise Refused(
            f"--lines must be 0 or greater, not {wanted.lines}", hint="--lines 0 shows all"
        )
    if wanted.job and not wanted.job.isalnum():
        raise Refused(
            f"{wanted.job!r} cannot be part of a job id", hint="ids are letters and digits"
        )
    if wanted.since:
        durations.moment(wanted.since, datetime.now(UTC))
    if follow and ctx.options.json:
        raise Refused("--follow has no end, and a JSON document needs one", hint="leave one out")


def _show(ctx: Context, result: FleetResult[list[str]], job: str) -> None:
    """The lines of all hosts, merged by time."""
    merged = [(line, host) for host, found in result.values.items() for line in found]
    is_prefixed = len(ctx.fleet.hosts) > 1
    if is_prefixed:
        merged.sort(key=lambda item: item[0][:26])
    for line, host in merged:
        ctx.console.line(host, line, prefixed=is_prefixed)
    if result.values and not merged:
        ctx.console.note(f"no line{f' mentions {job}' if job else ''}")


class _ReaderGoneError(Exception):
    """The reader of our output went away: the end of following, and no failure."""


def _follow(ctx: Context, wanted: WantedLog) -> None:
    """Show lines as they come, from all hosts, until Ctrl-C."""
    from opstasks.core.errors import OpsError
    from opstasks.core.result import FleetResult
    from opstasks.fleet.fleet import Fleet

    shown: set[str] = set()

    def follow_one(host: Host) -> None:
        try:
            _show_as_it_comes(ctx, host, wanted)
        except OpsError as error:
            # At once: the others may go on for hours, and silence would look like a quiet host.
            error.host = error.host or host.name
            ctx.console.error(error)
            shown.add(host.name)
            raise

    # Each host needs a worker of its own until the end.
    everyone = Fleet.of(ctx.fleet, ctx.fleet.hosts)
    everyone.parallel = len(everyone.hosts)
    found = everyone.gather(follow_one)
    ctx.console.problems(FleetResult([item for item in found if item.host not in shown]))
    ctx.end(found)


def _show_as_it_comes(ctx: Context, host: Host, wanted: WantedLog) -> None:
    from opstasks.logs.read import follow

    is_prefixed = len(ctx.fleet.hosts) > 1

    def on_wait() -> None:
        if ctx.console.reader_is_gone:
            raise _ReaderGoneError

    def on_line(line: str) -> None:
        ctx.console.line(host.name, line, prefixed=is_prefixed)

    try:
        follow(host, wanted, on_line, on_wait)
    except _ReaderGoneError:
        return


# `logs-id ID`, as the playbook's recipe was called.
logs.variadic = "--job"
