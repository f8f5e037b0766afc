"""`jobs`: list, show, kill and retry jobs (playbook: "Debugging jobs")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import EVERY, Flag, since, task
from opstasks.jobs import host_tasks, logs_tasks, tools_tasks
from opstasks.jobs.job_argument import JOB_HELP

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.fleet.host import Host
    from opstasks.jobs.kill import KillPlan, KillResult
    from opstasks.jobs.listing import Listing
    from opstasks.jobs.model import Match
    from opstasks.jobs.read import JobSelection
    from opstasks.jobs.retry import RetryResult
    from opstasks.output.stream import Source

TABLE_ROWS = 50
PLAN_HEADERS = ("host", "id", "workspace", "action", "state", "status", "container", "steps")


# -- jobs.ls ---------------------------------------------------------------------------------


@task(
    changes=False,
    help={
        "all": "All jobs, not only the running ones; newest first.",
        "state": Flag("Only jobs in this state.", value="pending|running|failed|succeeded"),
        "workspace": "Only jobs of this workspace.",
        "since": since("Only jobs created or completed since then"),
        "limit": Flag(
            "Most jobs to list for each host; 0: all.", value="N", default="50; with --json all"
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
    """List jobs from the database and docker; disagreements between the two are flagged.

    Example: inv -H all jobs.ls --state failed --since 2d
    """
    from opstasks.jobs.listing import HEADERS, cells, list_jobs, select

    selection = select(state, workspace, since, everything=all)
    rows = TABLE_ROWS if limit < 0 else limit
    if watch:
        ctx.watch(lambda: _table(ctx, selection, rows), every)
    if ctx.options.json:
        _stream(ctx, selection, max(0, limit))
        return
    result = ctx.reader.table(
        lambda host: list_jobs(host, selection, rows),
        HEADERS[1:],
        lambda found: [cells(job, found.now) for job in found.jobs],
        notes=lambda found: _notes(found, rows),
        nothing="no jobs",
    )
    ctx.seen("jobs", result.values, lambda found: [job.known_as for job in found.jobs])
    ctx.seen("workspaces", result.values, lambda found: [job.workspace for job in found.jobs])
    result.findings = any(found.docker_problem for found in result.values.values())
    ctx.finish(result)


def _notes(found: Listing, limit: int) -> list[str]:
    """What the table does not show of a host: older jobs, or containers that docker hides."""
    notes = [f"the newest {limit}; --limit 0 for all"] if limit and found.known >= limit else []
    if found.docker_problem:
        notes.append(f"cannot read the containers: {found.docker_problem}")
    if found.removal:
        notes.append(f"to remove what is still there of jobs that are over: {found.removal}")
    return notes


def _table(ctx: Context, selection: JobSelection, limit: int) -> str:
    """The table of all hosts as text."""
    from opstasks.jobs.listing import HEADERS, cells, list_jobs
    from opstasks.output.console import table_text

    result = ctx.quiet_fleet.gather(lambda host: list_jobs(host, selection, limit))
    values = result.values
    ctx.seen("jobs", values, lambda found: [job.known_as for job in found.jobs])
    rows = [[name, *cells(job, found.now)] for name, found in values.items() for job in found.jobs]
    lines = [table_text(HEADERS, rows) or "no jobs"] if values else []
    for name, found in values.items():
        lines += [f"{name}: {note}" for note in _notes(found, limit)]
    lines += [f"{item.host}: {item.outcome}" for item in result if not item.good]
    return "\n".join(lines)


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
    result = fleet_stream((host.name, source(host, item)) for host, item in both)
    ctx.console.problems(result)
    ctx.end(result)


# -- jobs.show -------------------------------------------------------------------------------


@task(changes=False, variadic="job", help={"job": JOB_HELP})
def show(ctx: Context, job: str = "") -> None:
    """Show everything that is known about one job, and its history as a timeline.

    Example: inv -H all jobs.show abc123
    """
    from opstasks.jobs.find import find_one
    from opstasks.jobs.show import drawn, known, read_timeline

    host, match = find_one(ctx, job)
    timeline = read_timeline(host, match)
    if ctx.options.json:
        document = {"host": host.name, "job": match.job, "container": match.container}
        more = {"volume": match.volume, "logs": match.logs, "row": match.row}
        times = {"timeline": timeline.events, "missing": timeline.missing}
        ctx.console.document({**document, **more, **times})
        return
    if match.docker_problem:
        ctx.console.note(f"cannot read the containers: {match.docker_problem}")
    if timeline.missing:
        ctx.console.note(f"the service's lines are missing: {timeline.missing}")
    for name, value in known(match):
        ctx.console.say(f"{name:18} {value}")
    ctx.console.say()
    for line in drawn(timeline.events, match):
        ctx.console.say(line)


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

    Example: inv -H all jobs.kill abc123 def456
    """
    from opstasks.core.errors import Refused
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.jobs.find import find_several
    from opstasks.jobs.job_runner import check_id
    from opstasks.jobs.kill import nothing_to_do, plan

    if not job:
        raise Refused("no job given", hint="inv -H all jobs.kill ID...; `jobs.ls` has the ids")
    plans = [plan(match, cleanup=cleanup) for _, match in find_several(ctx, job, changing=True)]
    for item in plans:
        check_id(item.match)
    ctx.console.table(PLAN_HEADERS, [_planned(item.match, item.steps) for item in plans])
    if ctx.options.dry:
        _dry(ctx, [(item.match, item.steps) for item in plans])
        return
    by_host: dict[str, list[KillPlan]] = {}
    for item in plans:
        by_host.setdefault(item.match.host, []).append(item)
    idle = {name: nothing_to_do([p.match for p in items]) for name, items in by_host.items()}
    before = FleetResult([HostResult(name, "ok", result) for name, result in idle.items()])
    if any(item.steps for item in plans):
        _finish(ctx, before.replaced(_kill(ctx, by_host, cleanup=cleanup)))
    elif ctx.options.json:  # without it, the table above is enough
        _finish(ctx, before)


def _kill(
    ctx: Context, by_host: dict[str, list[KillPlan]], *, cleanup: bool
) -> FleetResult[KillResult]:
    """Ask, then kill on each host that has something to do."""
    from opstasks.fleet.fleet import Fleet
    from opstasks.jobs.kill import apply

    busy = {name for name, items in by_host.items() if any(item.steps for item in items)}
    count = sum(bool(item.steps) for items in by_host.values() for item in items)
    ctx.confirm(f"Kill {count} job(s) on {', '.join(name for name in by_host if name in busy)}?")
    shown = {n: {i.match.job.id: i.steps for i in items} for n, items in by_host.items()}
    hosts = [host for host in ctx.fleet.hosts if host.name in busy]
    return Fleet.of(ctx.fleet, hosts).roll(
        lambda host: apply(host, shown[host.name], cleanup=cleanup)
    )


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
    from opstasks.fleet.fleet import Fleet
    from opstasks.jobs.find import find_several
    from opstasks.jobs.retry import apply, inspect, plan

    if not job:
        raise Refused("no job given", hint="inv -H all jobs.ls --state failed; then jobs.retry ID")
    ((host, match),) = find_several(ctx, [job], changing=True)
    planned = plan(match, inspect(host, match))
    ctx.console.table(PLAN_HEADERS, [_planned(match, [planned.step])])
    for note in planned.notes:
        ctx.console.note(note)
    if ctx.options.dry:
        _dry(ctx, [(match, (planned.step,))])
        return
    ctx.confirm(f"Retry {match.job.id} on {host.name}?")
    fleet = Fleet.of(ctx.fleet, [host])
    _finish(ctx, fleet.roll(lambda host: apply(host, match.job.id, wait_s=wait)))


# -- plans and results -----------------------------------------------------------------------


def _planned(match: Match, steps: Sequence[str]) -> list[object]:
    job, will = match.job, ", ".join(steps) or "nothing to do"
    shown = [match.host, job.id, job.workspace, job.action]
    return [*shown, job.state, job.status_code, job.container, will]


def _dry(ctx: Context, planned: Sequence[tuple[Match, Sequence[str]]]) -> None:
    """Print the plan as JSON."""
    from opstasks.core.result import FleetResult, HostResult

    steps: dict[str, dict[str, Sequence[str]]] = {}
    for match, words in planned:
        steps.setdefault(match.host, {})[match.job.id] = words
    if ctx.options.json:
        ctx.finish(FleetResult([HostResult(host, "ok", jobs) for host, jobs in steps.items()]))


def _finish(ctx: Context, result: FleetResult[KillResult] | FleetResult[RetryResult]) -> None:
    """Print one line for each job, then the notes."""
    if ctx.options.json:
        ctx.finish(result)
        return
    values = result.values
    rows = [[host, id, text] for host, done in values.items() for id, text in done.jobs.items()]
    ctx.console.table(["host", "id", "now"], rows)
    for host, done in values.items():
        for note in done.notes:
            ctx.console.note(f"{host}: {note}")
    ctx.console.problems(result)
    ctx.end(result)


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
