"""`jobs`: list, show, kill and retry jobs (playbook: "Debugging jobs")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import EVERY, Flag, since, task
from opstasks.jobs import host_tasks, logs_tasks, tools_tasks
from opstasks.jobs.job_argument import JOB_HELP

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.fleet.host import Host
    from opstasks.jobs.kill import KillPlan, KillResult
    from opstasks.jobs.listing import Listing
    from opstasks.jobs.listing_screen import Asked
    from opstasks.jobs.read import JobSelection
    from opstasks.output.screens import Screen
    from opstasks.output.stream import Source

TABLE_ROWS = 50


# -- jobs.ls ---------------------------------------------------------------------------------


@task(
    changes=False,
    ids=True,
    help={
        "all": "All jobs, also those that are over.",
        "state": Flag("Only jobs in this state.", value="pending|running|failed|succeeded"),
        "workspace": "Only jobs of this workspace.",
        "since": since("Only jobs created or completed since then"),
        "limit": Flag(
            "Most jobs to list for each host; 0: all.",
            value="N",
            default="50; with --json and -q all",
        ),
        "watch": "Refresh the screen until Ctrl-C.",
        "every": EVERY,
    },
)
def ls(
    ctx: Context,
    all: bool = False,
    state: str = "",
    workspace: str = "",
    since: str = "",
    limit: int = -1,
    watch: bool = False,
    every: float = 2.0,
) -> None:
    """List jobs that run or wait; flag what database and docker disagree about.

    Jobs are listed newest first. MEMORY is what a job uses of its limit.

    Example: inv -H all jobs.ls --state failed --since 2d
    """
    from opstasks.cli.watching import watch_hosts
    from opstasks.jobs.listing import list_jobs, select
    from opstasks.jobs.listing_screen import Asked

    selection = select(state, workspace, since, everything=all)
    if ctx.options.json and not watch:
        _stream(ctx, selection, max(0, limit))
        return
    rows = limit if limit >= 0 else 0 if ctx.console.ids_only else TABLE_ROWS
    asked = Asked.of(selection, rows, since)

    def read(host: Host) -> Listing:
        return list_jobs(host, selection, rows)

    if watch:
        watch_hosts(ctx, read, lambda: _screen(ctx, asked, is_watched=True), every)
    result = ctx.reader.screen(read, _screen(ctx, asked))
    ctx.seen("jobs", result.values, lambda found: [job.known_as for job in found.jobs])
    ctx.seen("workspaces", result.values, lambda found: [job.workspace for job in found.jobs])
    result.findings = any(found.docker_problem for found in result.values.values())
    ctx.finish(result)


def _screen(ctx: Context, asked: Asked, *, is_watched: bool = False) -> Screen[Listing]:
    """How jobs are shown; in a pipe and with --wide with their whole ids."""
    from opstasks.jobs.listing_screen import screen

    in_pipe = not ctx.console.window
    whole_ids = in_pipe or ctx.console.wide
    how = {"whole_ids": whole_ids, "in_pipe": in_pipe, "is_watched": is_watched}
    return screen(asked, lambda: ctx.clock, **how)


def _stream(ctx: Context, selection: JobSelection, limit: int) -> None:
    """Write every host's jobs as JSON while they arrive, so their number is not limited."""
    from opstasks.jobs.listing import stream_jobs
    from opstasks.output.stream import fleet_stream

    # A host that does not answer must not delay the others.
    reached: FleetResult[Any] = ctx.fleet.gather(lambda host: host.transport)

    def source(host: Host, item: HostResult[Any]) -> Source:
        def run(take: Callable[[Sequence[Any]], None]) -> None:
            if item.error is not None:
                raise item.error
            stream_jobs(host, selection, limit, take)

        return run

    both = zip(ctx.fleet.hosts, reached, strict=True)
    sources = ((host.name, source(host, item)) for host, item in both)
    result = fleet_stream(sources, ctx.console.fields)
    ctx.console.problems(result)
    ctx.end(result)


# -- jobs.show -------------------------------------------------------------------------------


@task(changes=False, ids=True, variadic="job", help={"job": JOB_HELP})
def show(ctx: Context, job: str = "") -> None:
    """Show one job: its state, exit code, history, last lines and what to do next.

    The last lines of its output go only to a terminal.

    Example: inv -H all jobs.show abc123
    """
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.jobs.choose import find_one
    from opstasks.jobs.details import details
    from opstasks.jobs.logs_tasks import may_show
    from opstasks.jobs.show import read_more
    from opstasks.jobs.show_screen import lines

    host, match = find_one(ctx, job)
    timeline, printed = read_more(host, match, with_output=may_show(ctx, host))
    found = details(match, timeline)
    width = ctx.console.window
    ctx.console.ids([match.job.id])
    ctx.console.say_lines(
        lines(found, host.name, match.now, ctx.clock, printed=printed, width=width)
    )
    ctx.finish(FleetResult([HostResult(host.name, "ok", found)]))


# -- jobs.kill -------------------------------------------------------------------------------


@task(
    changes=True,
    variadic="job",
    iterable=["job"],
    help={
        "job": Flag(
            "Jobs, each by its id, or part of its id or of workspace-action.", required=True
        ),
        "cleanup": "Keep container and volume for debugging; run again to remove them.",
    },
)
def kill(ctx: Context, job: list[str], cleanup: bool = True) -> None:
    """Kill running and pending jobs, and remove their containers and volumes.

    The jobs are shown before the question. A kill cannot be undone.

    Example: inv -H all jobs.kill abc123 def456
    """
    from opstasks.core.errors import Refused
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.jobs import change_screen, reports
    from opstasks.jobs.choose import find_several
    from opstasks.jobs.job_runner import check_id
    from opstasks.jobs.kill import nothing_to_do, plan

    if not job:
        raise Refused("jobs.kill: JOB is missing", hint=ctx.command_text("jobs.ls"))
    plans = [plan(match, cleanup=cleanup) for _, match in find_several(ctx, job, changing=True)]
    for item in plans:
        check_id(item.match)
    planned = [(item.match, item.steps) for item in plans]
    ctx.console.say(change_screen.kill_headline(plans, cleanup=cleanup))
    rows = change_screen.plan_rows(match for match, _ in planned)
    ctx.console.table(change_screen.PLAN_COLUMNS, rows)
    if any(item.steps for item in plans):
        ctx.console.say_lines(change_screen.step_lines(planned))
    if ctx.options.dry:
        ctx.finish(reports.planned(planned))
        return
    by_host: dict[str, list[KillPlan]] = {}
    for item in plans:
        by_host.setdefault(item.match.host, []).append(item)
    idle = {name: nothing_to_do([p.match for p in items]) for name, items in by_host.items()}
    before = FleetResult([HostResult(name, "ok", result) for name, result in idle.items()])
    if any(item.steps for item in plans):
        ctx.console.say_lines(change_screen.kill_warning(plans))
        before = before.replaced(_kill(ctx, by_host, cleanup=cleanup))
        ctx.console.table(change_screen.RESULT_COLUMNS, change_screen.killed_rows(before.values))
        ctx.console.say_lines(change_screen.killed_notes(before.values, cleanup=cleanup))
    ctx.finish(before)


def _kill(
    ctx: Context, by_host: dict[str, list[KillPlan]], *, cleanup: bool
) -> FleetResult[KillResult]:
    """Ask, then kill on each host that has something to do."""
    from opstasks.core.formats import plural
    from opstasks.jobs.change_screen import kill_told
    from opstasks.jobs.kill import apply

    busy = {name for name, items in by_host.items() if any(item.steps for item in items)}
    count = sum(bool(item.steps) for items in by_host.values() for item in items)
    hosts = [host for host in ctx.fleet.hosts if host.name in busy]
    ctx.confirm(f"Kill {plural(count, 'job')} on {', '.join(host.name for host in hosts)}?")
    shown = {n: {i.match.job.id: i.steps for i in items} for n, items in by_host.items()}
    return ctx.roll(lambda host: apply(host, shown[host.name], cleanup=cleanup), hosts, kill_told())


# -- jobs.retry ------------------------------------------------------------------------------


@task(
    changes=True,
    variadic="job",
    help={
        "job": Flag("A job's id, or part of its id or of workspace-action.", required=True),
        "wait": Flag("How long to wait until job-runner is done with the job.", value="DURATION"),
    },
)
def retry(ctx: Context, job: str = "", wait: float = 90.0) -> None:
    """Retry a job that ended with an internal error; its results so far are kept.

    Example: inv -H all jobs.retry abc123
    """
    from opstasks.core.errors import Refused
    from opstasks.jobs import change_screen, reports
    from opstasks.jobs.choose import find_several
    from opstasks.jobs.retry import apply, inspect, plan

    if not job:
        hint = ctx.command_text("jobs.ls --state failed")
        raise Refused("jobs.retry: JOB is missing", hint=hint)
    ((host, match),) = find_several(ctx, [job], changing=True)
    planned = plan(match, inspect(host, match))
    ctx.console.table(change_screen.PLAN_COLUMNS, change_screen.plan_rows([match]))
    ctx.console.say_lines(change_screen.step_lines([(match, [planned.step])]))
    for note in planned.notes:
        ctx.console.say(note)
    if ctx.options.dry:
        ctx.finish(reports.planned([(match, (planned.step,))]))
        return
    ctx.confirm(f"Retry {match.job.id} on {host.name}?")
    told = change_screen.retry_told()
    result = ctx.roll(lambda host: apply(host, match.job.id, wait_s=wait), [host], told)
    for name, done in result.values.items():
        ctx.console.say_lines(change_screen.retried_notes(name, done))
    ctx.finish(result)


namespace = Collection("jobs")
namespace.add_task(ls, name="ls")
namespace.add_task(show, name="show")
namespace.add_task(logs_tasks.logs, name="logs")
namespace.add_task(logs_tasks.follow, name="follow")
namespace.add_task(kill, name="kill")
namespace.add_task(retry, name="retry")
namespace.add_task(host_tasks.jobs_stats, name="stats")
namespace.add_task(tools_tasks.mount, name="mount")
namespace.add_task(tools_tasks.strace, name="strace")
