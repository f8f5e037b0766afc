"""`logs`: the service's own log (playbook: "Viewing job-runner logs")."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from opstasks.cli.app import Context
from opstasks.cli.task import FOLLOW, LINES, since, task

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.fleet.host import Host
    from opstasks.logs.read import WantedLog


@task(
    changes=False,
    variadic="job",
    help={
        "lines": LINES,
        "since": since("Only lines since then"),
        "follow": FOLLOW,
        "job": "Only records that mention this job id, including tracebacks.",
    },
)
def logs(
    ctx: Context, lines: int = 100, since: str = "", follow: bool = False, job: str = ""
) -> None:
    """Show job-runner's log, merged by time for many hosts, without a pager.

    Example: inv -H prod logs --since 1h --job abc123
    """
    from opstasks.logs.read import WantedLog, read

    wanted = WantedLog(lines, since, job)
    _check(ctx, wanted, follow=follow)
    if follow:
        _follow(ctx, wanted)
        return
    result = ctx.reader.collect(lambda host: read(host, wanted), lambda batch: _show(ctx, batch))
    if result.values and not any(result.values.values()) and not ctx.options.json:
        ctx.console.note(f"no lines{f' mention {job}' if job else ''}")
    ctx.finish(result)


def _check(ctx: Context, wanted: WantedLog, *, follow: bool) -> None:
    """Raise Refused for wrong flags, before any host is asked."""
    from opstasks.core import durations
    from opstasks.core.errors import Refused

    if wanted.job and not wanted.job.isalnum():
        raise Refused(
            f"{wanted.job!r} cannot be part of a job id", hint="ids are letters and digits"
        )
    if wanted.since:
        durations.moment(wanted.since, datetime.now(UTC))
    if follow and ctx.options.json:
        raise Refused("--follow never ends, so it cannot write JSON", hint="omit one of them")


def _show(ctx: Context, batch: FleetResult[list[str]]) -> None:
    """The lines of the hosts that have answered, merged by time."""
    merged = [(line, host) for host, found in batch.values.items() for line in found]
    is_prefixed = len(ctx.fleet.hosts) > 1
    if is_prefixed:
        merged.sort(key=lambda item: item[0][:26])
    for line, host in merged:
        ctx.console.line(host, line, prefixed=is_prefixed)


class _ReaderGoneError(Exception):
    """The reader of our output is gone: following ends without an error."""


def _follow(ctx: Context, wanted: WantedLog) -> None:
    """Show new lines from all hosts until Ctrl-C, which ends it without an error."""
    from opstasks.core.errors import INTERRUPTED, Interrupted
    from opstasks.fleet.fleet import Fleet

    ctx.fleet.outcomes.is_kept = False
    # Each host needs its own worker until the end.
    everyone = Fleet.of(ctx.fleet, ctx.fleet.hosts)
    everyone.parallel = len(everyone.hosts)
    # After Ctrl-C, a lost connection (such as one through a proxy) is not an error.
    everyone.show = lambda batch: None if ctx.app.stop.is_set() else ctx.console.arrived(batch)
    try:
        found = everyone.gather(lambda host: _show_as_it_comes(ctx, host, wanted))
    except Interrupted:
        raise Exit(code=INTERRUPTED) from None
    ctx.console.problems(found)
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
