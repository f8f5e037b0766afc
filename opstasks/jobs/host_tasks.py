"""`host.stats`, `jobs.stats`: current use (playbook: "Viewing resource usage of jobs")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, TypeVar

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import EVERY, Flag, task

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.fleet.host import Host
    from opstasks.jobs.host_stats import HostUse
    from opstasks.jobs.stats import JobUse

T = TypeVar("T")

WATCH: dict[str, str | Flag] = {
    "watch": "Refresh the screen until Ctrl-C.",
    "every": EVERY,
}


@task(changes=False, help=WATCH)
def jobs_stats(ctx: Context, watch: bool = False, every: float = 2.0) -> None:
    """Show cpu, memory, disk traffic and processes of each running job, with their limits.

    Example: inv -H all jobs.stats --watch
    """
    from opstasks.jobs.stats import HEADERS, cells, read_stats
    from opstasks.output.console import table_text

    def draw(found: dict[str, Sequence[JobUse]]) -> str:
        rows = [[host, *cells(use)] for host, uses in found.items() for use in uses]
        return table_text(HEADERS, rows) or ("no job is running" if found else "")

    if watch:
        _watch(ctx, read_stats, draw, every)
    result = ctx.reader.table(
        read_stats,
        HEADERS[1:],
        lambda uses: map(cells, uses),
        nothing="no job is running",
    )
    ctx.seen("jobs", result.values, lambda uses: [use.id for use in uses])
    ctx.finish(result)


@task(
    changes=False,
    help={**WATCH, "top": Flag("How many processes to show for each host.", value="N")},
)
def stats(ctx: Context, watch: bool = False, every: float = 2.0, top: int = 5) -> None:
    """Show load, memory, swap, disks, docker's disk use and the busiest processes of each host.

    Example: inv -H all host.stats
    """
    from opstasks.jobs.host_stats import read_host_stats, tables
    from opstasks.output.console import table_text

    def read(host: Host) -> HostUse:
        return read_host_stats(host, max(0, top))

    def draw(found: dict[str, HostUse]) -> str:
        drawn = [table_text(headers, rows) for headers, rows in tables(found)]
        return "\n\n".join(filter(None, drawn))

    if watch:
        _watch(ctx, read, draw, every)
    shown = False

    def show(batch: FleetResult[HostUse]) -> None:
        """Several tables for each batch of hosts, because a host has rows in each of them."""
        nonlocal shown
        if text := draw(batch.values):
            if shown:
                ctx.console.say()
            ctx.console.say_table(text)
            shown = True

    ctx.finish(ctx.reader.collect(read, show))


def _watch(
    ctx: Context,
    read: Callable[[Host], T],
    draw: Callable[[dict[str, T]], str],
    every: float,
) -> NoReturn:
    """Show the text again and again, followed by the hosts that did not answer."""

    def text() -> str:
        result = ctx.quiet_fleet.gather(read)
        silent = [f"{item.host}: {item.outcome}" for item in result if not item.good]
        return "\n".join([draw(result.values), *silent])

    ctx.watch(text, every)


namespace = Collection("host")
namespace.add_task(stats, name="stats")
