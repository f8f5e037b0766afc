"""`logs`: the service's own log (playbook: "Viewing job-runner logs")."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from opstasks.cli.context import Context
from opstasks.cli.task import FOLLOW, LINES, since, task

if TYPE_CHECKING:
    from opstasks.core import events
    from opstasks.fleet.host import Host
    from opstasks.logs.read import WantedLog
    from opstasks.logs.screens import LogScreen


@task(
    changes=False,
    variadic="job",
    help={
        "lines": LINES,
        "since": since("Only lines since then"),
        "follow": FOLLOW,
        "job": "Only records that mention this job id, with their tracebacks.",
        "raw": "The lines of the journal as they are.",
    },
)
def logs(
    ctx: Context,
    lines: int = 100,
    since: str = "",
    follow: bool = False,
    job: str = "",
    raw: bool = False,
) -> None:
    """Show job-runner's log: time, job and message, the newest last.

    The records of several hosts are merged by time. `!` marks errors. In a pipe, each record is
    one line.

    Example: inv -H prod logs --since 1h --job abc123
    """
    from opstasks.logs.read import WantedLog

    wanted = WantedLog(lines, since, job)
    _check(ctx, wanted, follow=follow)
    screen = _screen(ctx, wanted, raw=raw, follow=follow)
    if follow:
        _follow(ctx, wanted, screen)
    else:
        _read(ctx, wanted, screen)


def _check(ctx: Context, wanted: WantedLog, *, follow: bool) -> None:
    """Raise Refused for wrong flags, before any host is asked."""
    from opstasks.core.errors import Refused
    from opstasks.core.hints import quoted

    if wanted.job and not wanted.job.isalnum():
        raise Refused(
            f"--job: {quoted(wanted.job)} cannot be part of a job id",
            hint="ids are letters and digits",
        )
    if follow and ctx.options.json:
        raise Refused("--follow never ends, so it cannot write JSON", hint="omit one of them")


def _screen(ctx: Context, wanted: WantedLog, *, raw: bool, follow: bool) -> LogScreen:
    from opstasks.logs.screens import RawLog, RecordLog
    from opstasks.logs.show import headline

    names = [host.name for host in ctx.fleet.hosts]
    if raw:
        return RawLog(ctx.console, names)
    return RecordLog(
        ctx.console,
        names,
        lambda: ctx.clock,
        lambda layout: headline(wanted, names, layout, follow=follow),
    )


def _read(ctx: Context, wanted: WantedLog, screen: LogScreen) -> None:
    """Show the lines so far, and end."""
    from opstasks.logs.read import read
    from opstasks.logs.show import nothing
    from opstasks.output import fit

    result = ctx.reader.collect(lambda host: screen.values(read(host, wanted)), screen.show)
    if result.values and not any(result.values.values()) and not ctx.options.json:
        for line in fit.paragraph(nothing(wanted, list(result.values)), ctx.console.window):
            ctx.console.note(line)
    ctx.finish(result)


class _ReaderGoneError(Exception):
    """The reader of our output is gone: following ends without an error."""


def _follow(ctx: Context, wanted: WantedLog, screen: LogScreen) -> None:
    """Show new lines from all hosts until Ctrl-C, which ends it without an error."""
    from opstasks.core.errors import INTERRUPTED, Interrupted
    from opstasks.fleet.fleet import Fleet

    ctx.fleet.outcomes.is_kept = False
    # Each host needs its own worker until the end.
    everyone = Fleet.of(ctx.fleet, ctx.fleet.hosts)
    everyone.parallel = len(everyone.hosts)
    everyone.observer = partial(_observe, ctx, screen)
    # After Ctrl-C, a lost connection (such as one through a proxy) is not an error.
    everyone.show = lambda batch: None if ctx.app.stop.is_set() else ctx.console.arrived(batch)
    try:
        found = everyone.gather(lambda host: _show_as_it_comes(ctx, host, wanted, screen))
    except Interrupted:
        raise Exit(code=INTERRUPTED) from None
    ctx.console.problems(found)
    ctx.end(found)


def _observe(ctx: Context, screen: LogScreen, event: events.Event) -> None:
    """Show which hosts are awaited until the first one answers: when followed, none finishes."""
    from opstasks.core import events

    if screen.has_begun and isinstance(event, events.HostsAwaited):
        event = events.HostsAwaited(event.hosts, ())
    ctx.console.observe(event)


def _show_as_it_comes(ctx: Context, host: Host, wanted: WantedLog, screen: LogScreen) -> None:
    from opstasks.logs.read import follow

    on_line, on_pause = screen.stream(host.name)

    def on_wait() -> None:
        on_pause()
        if ctx.console.reader_is_gone:
            raise _ReaderGoneError

    try:
        follow(host, wanted, on_line, on_wait)
    except _ReaderGoneError:
        return
