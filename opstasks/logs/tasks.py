"""`logs`: the service's own log (playbook: "Viewing job-runner logs")."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from invoke import task

from opstasks.cli.app import Context

if TYPE_CHECKING:
    from opstasks.core.command import Command
    from opstasks.core.result import Result
    from opstasks.fleet.host import Host


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
    from opstasks.primitives import journal

    _check(ctx, lines, since, job, follow=follow)

    def command(host: Host) -> Command:
        return journal.unit_lines(
            host.spec.unit, lines=lines, since_time=since, needle=job, follow=follow
        )

    if follow:
        _follow(ctx, command)
        return
    result = ctx.fleet.gather(lambda host: _lines(host, command(host)))
    if ctx.options.json:
        ctx.finish(result)
        return
    merged = [(line, host) for host, found in result.values.items() for line in found]
    if len(ctx.fleet.hosts) > 1:
        merged.sort(key=lambda item: item[0][:26])
    for line, host in merged:
        ctx.console.line(host, line, prefixed=len(ctx.fleet.hosts) > 1)
    if result.values and not merged:
        ctx.console.note(f"no line{f' mentions {job}' if job else ''}")
    ctx.finish(result)


def _check(ctx: Context, lines: int, since: str, job: str, *, follow: bool) -> None:
    """Raise Refused for what no host needs to be asked about."""
    from opstasks.core import durations
    from opstasks.core.errors import Refused

    if lines < 0:
        raise Refused(f"--lines {lines} is less than nothing", hint="--lines 0 shows all")
    if job and not job.isalnum():
        raise Refused(f"{job!r} cannot be part of a job id", hint="ids are letters and digits")
    if since:
        durations.moment(since, datetime.now(UTC))
    if follow and ctx.options.json:
        raise Refused("--follow has no end, and a JSON document needs one", hint="leave one out")


def _lines(host: Host, command: Command) -> list[str]:
    """What the journal holds; raises Refused where the account may not look at it."""
    (result,) = host.service.batch([command])
    return _readable(host, result, command).lines


def _readable(host: Host, result: Result, command: Command) -> Result:
    """A result of journalctl's; raises Refused where the account may not look at the journal."""
    from opstasks.core.errors import Refused
    from opstasks.fleet.host import check

    if "insufficient permissions" in result.err:
        text = f"{host.spec.service_user} may not read the journal, or never wrote to it"
        raise Refused(text, host=host.name, hint=f"inv -H {host.name} doctor")
    return check(result, command, host.name)


class _ReaderGoneError(Exception):
    """Nobody reads any more: no reason to follow on."""


def _follow(ctx: Context, command: Callable[[Host], Command]) -> None:
    """Show lines as they come, from all hosts, until Ctrl-C."""
    from opstasks.core.errors import OpsError
    from opstasks.core.result import FleetResult
    from opstasks.fleet.fleet import Fleet

    told: set[str] = set()
    prefixed = len(ctx.fleet.hosts) > 1

    def one(host: Host) -> None:
        rest = b""
        lock = threading.Lock()

        def take(data: bytes) -> None:
            nonlocal rest
            with lock:
                *whole, rest = (rest + data).split(b"\n")
            if ctx.console.nobody_reads:
                raise _ReaderGoneError
            for line in whole:
                ctx.console.line(host.name, line.decode("utf-8", "replace"), prefixed=prefixed)

        asked = command(host)
        try:
            _readable(host, host.service.stream(asked, take), asked)
        except _ReaderGoneError:
            pass
        except OpsError as error:
            # At once: the others may go on for hours, and silence would look like a quiet host.
            error.host = error.host or host.name
            ctx.console.error(error)
            told.add(host.name)
            raise

    # Every host needs a worker of its own, for as long as the operator looks on.
    everyone = Fleet.of(ctx.fleet, ctx.fleet.hosts)
    everyone.parallel = len(everyone.hosts)
    found = everyone.gather(one)
    ctx.console.problems(FleetResult([item for item in found if item.host not in told]))
    ctx.end(found)


# `logs-id ID`, as the playbook's recipe was called.
logs.variadic = "--job"
