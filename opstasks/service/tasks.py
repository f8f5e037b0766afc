"""`service`: start and stop job-runner (playbook: "Starting/stopping the service")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import Flag, task

if TYPE_CHECKING:
    from opstasks.fleet.host import Host
    from opstasks.service.act import ServiceFacts, ServiceResult

# Not 0: without a watch, a service that crashes at once would count as up.
WATCH_HELP = Flag("How long the started service must stay up.", value="DURATION", least=1)


@task(changes=True, help={"watch": WATCH_HELP})
def start(ctx: Context, watch: int = 5) -> None:
    """Start job-runner and check that it stays up; refused while a release is unfinished.

    Example: inv -H tpp service.start
    """
    from opstasks.service import act

    _roll(ctx, "start", lambda host: act.start(host, watch))


@task(changes=True)
def stop(ctx: Context) -> None:
    """Stop job-runner; running jobs continue, no new jobs start.

    Example: inv -H tpp service.stop --yes
    """
    from opstasks.service import act

    _roll(ctx, "stop", act.stop)


@task(changes=True, help={"watch": WATCH_HELP})
def restart(ctx: Context, watch: int = 5) -> None:
    """Restart job-runner and check that it stays up; running jobs continue.

    Refused while a release is unfinished.

    Example: inv -H tpp service.restart --yes
    """
    from opstasks.service import act

    _roll(ctx, "restart", lambda host: act.restart(host, watch))


def _roll(ctx: Context, verb: str, work: Callable[[Host], ServiceResult]) -> None:
    """Inspect all hosts, ask, then change one host after another."""
    from opstasks.service import act

    found = ctx.fleet.gather(act.inspect)
    if found.exit_code and not ctx.options.keep_going:
        ctx.finish(found)
    for host, before in found.values.items():
        ctx.console.say(
            f"{host}: {verb} {before.unit.name}, now {before.unit.describe()};"
            f" {before.jobs.describe()}; jobs continue"
        )
        if before.unit.drop_ins:
            ctx.console.note(f"{host}: the unit has drop-ins: {', '.join(before.unit.drop_ins)}")
    if ctx.options.dry:
        ctx.finish(found)
        return
    if verb != "start":
        ctx.confirm(_question(verb, found.values))
    ctx.finish(ctx.fleet.roll(work), _row)


def _question(verb: str, found: dict[str, ServiceFacts]) -> str:
    """The question before a change; names the hosts where running jobs are unknown."""
    unknown = [host for host, facts in found.items() if facts.jobs.count is None]
    note = f" (running jobs unknown on {', '.join(unknown)})" if unknown else ""
    return f"{verb.capitalize()} job-runner on {', '.join(found)}{note}?"


def _row(result: ServiceResult) -> dict[str, object]:
    return {
        "before": result.before,
        "after": result.after,
        "jobs": result.jobs.describe(),
        "changed": result.changed,
        **({"notes": "; ".join(result.notes)} if result.notes else {}),
    }


namespace = Collection("service", start, stop, restart)
