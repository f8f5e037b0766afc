"""`host.stats`, `jobs.stats`: current use (playbook: "Viewing resource usage of jobs")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import EVERY, Flag, task

if TYPE_CHECKING:
    from opstasks.fleet.host import Host
    from opstasks.jobs.host_stats import HostUse
    from opstasks.output.screens import Screen

WATCH: dict[str, str | Flag] = {
    "watch": "Refresh the screen until Ctrl-C.",
    "every": EVERY,
}
MOST_PROCESSES = 1000


@task(changes=False, ids=True, help=WATCH)
def jobs_stats(ctx: Context, watch: bool = False, every: float = 2.0) -> None:
    """Show cpu, memory, disk traffic and processes of each running job.

    CPU CORES and MEMORY are what a job uses now; USED is the share of its memory LIMIT. READ/S and
    WRITTEN/S are disk traffic in bytes a second.

    Example: inv -H all jobs.stats --watch
    """
    from opstasks.cli.watching import watch_hosts
    from opstasks.jobs.stats import read_stats
    from opstasks.jobs.stats_screen import jobs_screen

    screen = jobs_screen(lambda: ctx.clock)
    if watch:
        watch_hosts(ctx, read_stats, lambda: screen, every)
    result = ctx.reader.screen(read_stats, screen)
    ctx.seen("jobs", result.values, lambda uses: [use.id for use in uses])
    ctx.finish(result)


@task(
    changes=False,
    help={**WATCH, "top": Flag("How many processes to show of each host.", value="N")},
)
def stats(ctx: Context, watch: bool = False, every: float = 2.0, top: int = 5) -> None:
    """Show load, memory, disks, docker's disk use and the busiest processes.

    LOAD is the number of processes that run or wait, over 1, 5 and 15 minutes. DISK is the use of
    the fullest disk, as in `status`. SIZE, FREE and USED of a disk are those of df.

    Example: inv -H all host.stats
    """
    from opstasks.cli.watching import watch_hosts
    from opstasks.core.errors import Refused
    from opstasks.jobs.host_stats import read_host_stats
    from opstasks.jobs.stats_screen import host_screen

    if top > MOST_PROCESSES:
        raise Refused(f"--top must be {MOST_PROCESSES} or less, not {top}", hint="--top 5")

    def read(host: Host) -> HostUse:
        return read_host_stats(host, top)

    def screen() -> Screen[HostUse]:
        return host_screen(lambda: ctx.clock, ctx.console.window, wide=ctx.console.wide)

    if watch:
        watch_hosts(ctx, read, screen, every)
    ctx.finish(ctx.reader.screen(read, screen()))


namespace = Collection("host")
namespace.add_task(stats, name="stats")
