"""`service`: start and stop job-runner (playbook: "Starting/stopping the service")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, task

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.fleet.host import Host
    from opstasks.service.act import ServiceFacts, ServiceResult
    from opstasks.service.plan import Verb

# Not 0: without a watch, a service that crashes at once would count as up.
WATCH_HELP = Flag("How long the started service must stay up.", value="DURATION", least=1)


@task(changes=True, help={"watch": WATCH_HELP})
def start(ctx: Context, watch: int = 5) -> None:
    """Start job-runner and check that it stays up; refused while a release is unfinished.

    It does not ask.

    Example: inv -H tpp service.start
    """
    from opstasks.service import act

    _roll(ctx, "start", act.inspect_start, lambda host: act.start(host, watch), watch)


@task(changes=True)
def stop(ctx: Context) -> None:
    """Stop job-runner; running jobs continue, no new jobs start.

    Example: inv -H tpp service.stop --yes
    """
    from opstasks.service import act

    _roll(ctx, "stop", act.inspect, act.stop)


@task(changes=True, help={"watch": WATCH_HELP})
def restart(ctx: Context, watch: int = 5) -> None:
    """Restart job-runner and check that it stays up; running jobs continue.

    Refused while a release is unfinished.

    Example: inv -H tpp service.restart --yes
    """
    from opstasks.service import act

    _roll(ctx, "restart", act.inspect_restart, lambda host: act.restart(host, watch), watch)


def _roll(
    ctx: Context,
    verb: Verb,
    inspect: Callable[[Host], ServiceFacts],
    work: Callable[[Host], ServiceResult],
    watch_s: float = 0.0,
) -> None:
    """Inspect all hosts, show what will be done, ask, then change one host after another."""
    from opstasks.cli import changing
    from opstasks.service import act, plan

    found = ctx.fleet.gather(inspect)
    planned: FleetResult[Any] = found.mapped(lambda facts: plan.make_plan(verb, facts, watch_s))
    plans, width = planned.values, ctx.console.window
    unchanged = planned if ctx.options.dry else found.mapped(act.unchanged)
    changing.need_every_host(ctx, planned, unchanged, lambda each: each.changes)
    todo = [host for host in ctx.fleet.hosts if host.name in plans and plans[host.name].changes]
    undo = changing.command_for(ctx, plan.UNDO[verb], [host.name for host in todo])
    ctx.console.say_lines(plan.lines(plans, width, undo, wide=ctx.console.wide))
    if ctx.options.dry or not todo:
        ctx.finish(unchanged)
        return
    if verb != "start":
        ctx.confirm(plan.question(verb, plans))
    told = plan.told(
        verb, lambda hosts: changing.command_for(ctx, plan.UNDO[verb], hosts.split(","))
    )
    done = ctx.roll(work, todo, told)
    ctx.console.say_lines(plan.note_lines(done.values))
    ctx.finish(unchanged.replaced(done))


namespace = Collection("service", start, stop, restart)
