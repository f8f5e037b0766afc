"""`host.stats`, `jobs.stats`: what is used now (playbook: "Viewing resource usage of jobs")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke import Collection, task

from opstasks.cli.app import Context
from opstasks.core.formats import size_text

if TYPE_CHECKING:
    from opstasks.jobs.stats import HostUse, JobUse

WATCH = {
    "watch": "Show it again and again in the same place, until Ctrl-C.",
    "every": "With --watch: how many seconds between.",
}
JOB_HEADERS = (
    "host",
    "id",
    "job",
    "cpu",
    "of",
    "memory",
    "of",
    "%",
    "read",
    "written",
    "read/s",
    "written/s",
    "pids",
)


@task(help=WATCH, auto_shortflags=False)
def jobs_stats(ctx: Context, watch: bool = False, every: float = 2.0) -> None:
    """Show what each running job uses, limits beside it: cpu, memory, disk traffic, processes.

    Example: inv -H all jobs.stats --watch
    """
    from opstasks.jobs import stats

    def draw() -> tuple[str, Any]:
        from opstasks.output.console import table_text

        result = ctx.fleet.gather(stats.jobs)
        rows = [[host, *_used(use)] for host, found in result.values.items() for use in found]
        nothing = "no job is running" if result.values else ""
        return table_text(JOB_HEADERS, rows) or nothing, result

    _show(ctx, draw, watch=watch, every=every)


@task(help={**WATCH, "top": "How many processes of each host."}, auto_shortflags=False)
def stats(ctx: Context, watch: bool = False, every: float = 2.0, top: int = 5) -> None:
    """Show load, memory, swap, the disks that matter, docker's disk use and the top processes.

    Example: inv -H all host.stats
    """
    from opstasks.jobs import stats as workflow

    def draw() -> tuple[str, Any]:
        result = ctx.fleet.gather(lambda host: workflow.host(host, max(0, top)))
        return "\n\n".join(_tables(result.values)), result

    _show(ctx, draw, watch=watch, every=every)


def _show(ctx: Context, draw: Any, *, watch: bool, every: float) -> None:
    """Once, or again and again; hosts that did not answer are said beneath."""
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


def _used(use: JobUse) -> list[object]:

    share = f"{100 * use.memory / use.memory_limit:.0f}" if use.memory_limit else ""
    return [
        use.id,
        f"{use.workspace}-{use.action}",
        f"{use.cpu:.2f}",
        f"{use.cpu_limit:g}" if use.cpu_limit else "",
        size_text(use.memory),
        size_text(use.memory_limit) if use.memory_limit else "",
        share,
        size_text(use.read),
        size_text(use.written),
        size_text(use.read_s),
        size_text(use.written_s),
        use.pids,
    ]


def _tables(found: dict[str, HostUse]) -> list[str]:
    """Hosts, disks, docker and processes, each as one table over all hosts."""
    from opstasks.output.console import table_text

    hosts = [
        [
            name,
            " ".join(f"{load:.2f}" for load in use.load),
            use.cpus,
            f"{size_text(use.memory_used)} of {size_text(use.memory)}",
            f"{size_text(use.swap_used)} of {size_text(use.swap)}" if use.swap else "none",
        ]
        for name, use in found.items()
    ]
    disks = [
        [
            name,
            " ".join(disk.places),
            size_text(disk.size),
            size_text(disk.free),
            f"{disk.percent:.0f}",
        ]
        for name, use in found.items()
        for disk in use.disks
    ]
    kept = [
        [name, item.kind, item.count, item.size, item.reclaimable]
        for name, use in found.items()
        for item in use.docker
    ]
    kept += [
        [name, "did not answer in time", "", "", ""] for name, u in found.items() if not u.docker
    ]
    processes = [
        [name, item.pid, item.user, item.name, f"{item.cpu:.2f}", size_text(item.memory)]
        for name, use in found.items()
        for item in use.processes
    ]
    tables = [
        table_text(["host", "load 1 5 15 min", "cpus", "memory used", "swap used"], hosts),
        table_text(["host", "disk", "size", "free", "% used"], disks),
        table_text(["host", "docker", "count", "size", "reclaimable"], kept),
        table_text(["host", "pid", "user", "process", "cpu", "memory"], processes),
    ]
    return [table for table in tables if table]


namespace = Collection("host")
namespace.add_task(stats, name="stats")
