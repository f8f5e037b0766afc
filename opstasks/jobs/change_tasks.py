"""`jobs.kill`, `jobs.retry` (playbook: "Killing a job", "Retrying a job ...")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from opstasks.cli.app import Context
from opstasks.jobs import finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opstasks.core.result import FleetResult
    from opstasks.jobs.change import Kill, Outcome
    from opstasks.jobs.model import Match

COLUMNS = ("host", "id", "workspace", "action", "state", "status", "container", "will")


@task(
    positional=[],
    iterable=["job"],
    help={
        "job": "Jobs, each by its id or part of its id or of workspace-action.",
        "cleanup": "--no-cleanup keeps container and volume, for a look; a later run removes them.",
    },
    auto_shortflags=False,
)
def kill(ctx: Context, job: list[str], cleanup: bool = True) -> None:
    """Kill jobs that run, keep jobs that wait from running, remove what is left of them.

    Example: inv -H all jobs.kill abc123 def456
    """
    from opstasks.core.errors import Refused
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.fleet.fleet import Fleet
    from opstasks.jobs import change as jobs_change

    if not job:
        raise Refused("no job given", hint="inv -H all jobs.kill ID...; `jobs.ls` has the ids")
    found = finding.several(ctx, job, changing=True)
    plans = [jobs_change.plan_kill(match, cleanup=cleanup) for _, match in found]
    for plan in plans:
        jobs_change.check_id(plan.match)
    ctx.console.table(COLUMNS, [_planned(plan) for plan in plans])
    todo = [plan.match for plan in plans if plan.steps]
    if ctx.options.dry:
        _dry(ctx, [(plan.match, plan.steps) for plan in plans])
        return
    if todo:
        ctx.confirm(f"Kill {len(todo)} job(s) on {', '.join(dict.fromkeys(m.host for m in todo))}?")
    shown: dict[str, dict[str, tuple[str, ...]]] = {}
    for plan in plans:
        shown.setdefault(plan.match.host, {})[plan.match.job.id] = plan.steps
    hosts = [host for host in ctx.fleet.hosts if any(m.host == host.name for m in todo)]
    done = Fleet.of(ctx.fleet, hosts).roll(
        lambda host: jobs_change.kill(host, shown[host.name], cleanup=cleanup)
    )
    idle = {name: [p.match for p in plans if p.match.host == name] for name in shown}
    asked = FleetResult([HostResult(n, "ok", jobs_change.nothing(m)) for n, m in idle.items()])
    if todo or ctx.options.json:  # otherwise the table above has said it all
        _finish(ctx, asked.replaced(done))


@task(
    help={
        "job": finding.JOB_HELP,
        "wait": "How long to wait for job-runner to be done with it, in seconds.",
    },
    auto_shortflags=False,
)
def retry(ctx: Context, job: str = "", wait: float = 90.0) -> None:
    """Retry a job that ended with an internal error, from where it stood: its outputs are kept.

    Example: inv -H all jobs.retry abc123
    """
    from opstasks.core.errors import Refused
    from opstasks.fleet.fleet import Fleet
    from opstasks.jobs import change as jobs_change

    if not job:
        raise Refused("no job given", hint="inv -H all jobs.ls --state failed; then jobs.retry ID")
    ((host, match),) = finding.several(ctx, [job], changing=True)
    ready = jobs_change.check_retry(host, match)
    shown = (match.host, match.job.id, match.job.workspace, match.job.action)
    ctx.console.table(
        COLUMNS, [[*shown, match.job.state, match.job.status_code, match.job.container, ready.step]]
    )
    for note in ready.notes:
        ctx.console.note(note)
    if ctx.options.dry:
        _dry(ctx, [(match, (ready.step,))])
        return
    ctx.confirm(f"Retry {match.job.id} on {host.name}?")
    fleet = Fleet.of(ctx.fleet, [host])
    _finish(ctx, fleet.roll(lambda host: jobs_change.retry(host, match.job.id, wait_s=wait)))


def _planned(plan: Kill) -> list[object]:
    job = plan.match.job
    will = ", ".join(plan.steps) or "nothing to do"
    shown = (plan.match.host, job.id, job.workspace, job.action)
    return [*shown, job.state, job.status_code, job.container, will]


def _dry(ctx: Context, planned: Sequence[tuple[Match, Sequence[str]]]) -> None:
    """What would be done, as --json has it."""
    from opstasks.core.result import FleetResult, HostResult

    steps: dict[str, dict[str, Sequence[str]]] = {}
    for match, words in planned:
        steps.setdefault(match.host, {})[match.job.id] = words
    if ctx.options.json:
        ctx.finish(FleetResult([HostResult(host, "ok", jobs) for host, jobs in steps.items()]))


def _finish(ctx: Context, result: FleetResult[Outcome]) -> None:
    """One line for each job, then what a person should know."""
    if ctx.options.json:
        ctx.finish(result)
        return
    rows = [[h, id, text] for h, out in result.values.items() for id, text in out.jobs.items()]
    ctx.console.table(["host", "id", "now"], rows)
    for host, outcome in result.values.items():
        for note in outcome.notes:
            ctx.console.note(f"{host}: {note}")
    ctx.console.problems(result)
    ctx.end(result)
