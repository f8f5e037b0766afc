"""`host.stats`, `jobs.stats`: current use (playbook: "Viewing resource usage of jobs")."""

from __future__ import annotations

from typing import Any

from invoke import Collection, task

from opstasks.cli.app import Context

WATCH = {
    "watch": "Refresh the screen until Ctrl-C.",
    "every": "With --watch: seconds between two refreshes.",
}


@task(help=WATCH, auto_shortflags=False)
def jobs_stats(ctx: Context, watch: bool = False, every: float = 2.0) -> None:
    """Show cpu, memory, disk traffic and processes of each running job, with their limits.

    Example: inv -H all jobs.stats --watch
    """
    from opstasks.jobs.stats import HEADERS, cells, read_stats
    from opstasks.output.console import table_text

    def draw() -> tuple[str, Any]:
        result = ctx.fleet.gather(read_stats)
        rows = [[host, *cells(use)] for host, found in result.values.items() for use in found]
        nothing = "no job is running" if result.values else ""
        return table_text(HEADERS, rows) or nothing, result

    _show(ctx, draw, watch=watch, every=every)


@task(help={**WATCH, "top": "How many processes to show for each host."}, auto_shortflags=False)
def stats(ctx: Context, watch: bool = False, every: float = 2.0, top: int = 5) -> None:
    """Show load, memory, swap, disks, docker's disk use and the busiest processes of each host.

    Example: inv -H all host.stats
    """
    from opstasks.jobs.host_stats import read_host_stats, tables
    from opstasks.output.console import table_text

    def draw() -> tuple[str, Any]:
        result = ctx.fleet.gather(lambda host: read_host_stats(host, max(0, top)))
        drawn = [table_text(headers, rows) for headers, rows in tables(result.values)]
        return "\n\n".join(filter(None, drawn)), result

    _show(ctx, draw, watch=watch, every=every)


def _show(ctx: Context, draw: Any, *, watch: bool, every: float) -> None:
    """Show the text once or repeatedly, followed by the hosts that did not answer."""
    from opstasks.output import screen

    def text() -> str:
        drawn, result = draw()
        return "\n".join([drawn, *(f"{i.host}: {i.outcome}" for i in result if not i.good)])

    if watch:
        screen.watch(text, every, as_json=ctx.options.json)
        return
    drawn, result = draw()
    if ctx.options.json:
        ctx.finish(result)
        return
    if drawn:
        ctx.console.say(drawn)
    ctx.console.problems(result)
    ctx.end(result)


namespace = Collection("host")
namespace.add_task(stats, name="stats")
