"""`manage`: the host as its description says (playbook: "Updating the infrastructure")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task
from invoke.exceptions import Exit

from opstasks.app import Context

if TYPE_CHECKING:
    from opstasks.manage.plan import Plan
    from opstasks.result import FleetResult


@task(
    help={
        "plan": "Only show what would change.",
        "diff": "Show the difference inside files as well.",
        "check": "Exit 1 when anything differs; for cron and CI.",
        "only": "Only this area (may be given several times).",
        "skip": "Not this area (may be given several times).",
    },
    iterable=["only", "skip"],
    auto_shortflags=False,
)
def manage(
    ctx: Context,
    only: list[str],
    skip: list[str],
    plan: bool = False,
    diff: bool = False,
    check: bool = False,
) -> None:
    """Bring hosts in line with backends/: accounts, files, service; what differs is shown first.

    Example: inv -H tpp manage --plan --diff
    """
    from opstasks.fleet import Fleet
    from opstasks.manage import apply
    from opstasks.manage.apply import Selection

    selection = Selection(tuple(only), tuple(skip))
    selection.check()
    plans = ctx.fleet.gather(lambda host: apply.check(host, selection))
    _show(ctx, plans, with_diff=diff)
    todo = [host for host in ctx.fleet.hosts if _differs(plans, host.name)]
    if plan or check or ctx.options.dry or not todo:
        ctx.finish(plans)
        if check and todo:
            raise Exit(code=1)
        return
    if plans.exit_code and not ctx.options.keep_going:
        ctx.finish(plans)
    count = sum(len(shown.steps) for shown in plans.values.values())
    ctx.confirm(f"Make these {count} change(s) on {', '.join(host.name for host in todo)}?")
    shown = plans.values
    fleet = Fleet.of(ctx.fleet, todo)
    done = fleet.roll(lambda host: apply.apply(host, shown[host.name], selection))
    ctx.finish(
        plans.replaced(done),
        lambda outcome: {"changes": getattr(outcome, "steps", 0) if outcome.changed else 0},
    )


def _differs(plans: FleetResult[Plan], host: str) -> bool:
    shown = plans.values.get(host)
    return shown is not None and shown.changed


def _show(ctx: Context, plans: FleetResult[Plan], *, with_diff: bool) -> None:
    """Every step of every host; for many hosts the counts by area."""
    from opstasks.manage.plan import diff

    rows = [
        [host, step.area, step.thing, step.now, step.wanted]
        for host, shown in plans.values.items()
        for step in shown.steps
    ]
    ctx.console.table(["host", "area", "thing", "now", "wanted"], rows)
    for host, shown in plans.values.items():
        if not shown.changed:
            ctx.console.say(f"{host}: nothing to do")
        for step in shown.steps if with_diff else ():
            for line in diff(step):
                ctx.console.say(line)
