"""`deploy`: deploy and roll back job-runner releases (playbook: "Deploy job-runner")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke import Collection, task

from opstasks.cli.app import Context

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.deploy.apply import DeployResult
    from opstasks.deploy.facts import DeployFacts
    from opstasks.deploy.plan import DeployPlan
    from opstasks.deploy.release import Release
    from opstasks.fleet.host import Host

REF_HELP = "The branch, tag or commit of job-runner (default: the inventory's)."
LIB_HELP = "The branch, tag or commit of the dependencies (default: the inventory's)."


@task(
    name="apply",
    help={
        "ref": REF_HELP,
        "lib-ref": LIB_HELP,
        "restart": "Restart the service even if there is nothing to deploy.",
        "watch": "How many seconds to watch the service after its start.",
        "unfinished": "What to do with an unfinished release: 'finish' or 'back'.",
    },
    auto_shortflags=False,
)
def apply(
    ctx: Context,
    ref: str = "",
    lib_ref: str = "",
    restart: bool = False,
    watch: int = 0,
    unfinished: str = "",
) -> None:
    """Deploy job-runner: preview, confirm, snapshot, switch, watch; goes back on failure.

    Example: inv -H tpp deploy --ref v2.73.0
    """
    from opstasks.core.errors import Refused
    from opstasks.deploy import apply

    if unfinished not in ("", "finish", "back"):
        raise Refused("--unfinished must be 'finish' or 'back'")
    watch_s = _watch_s(watch)
    found = ctx.fleet.gather(lambda host: _plan(host, ref, lib_ref, restart=restart))
    plans = _judge(ctx, found)
    todo = [item for item in plans if item.value and not item.value.nothing_to_do]
    if not todo or ctx.options.dry:
        ctx.finish(plans, _plan_row)
        return
    waiting = [item for item in todo if item.value and item.value.facts.unfinished]
    if waiting:
        if ref or lib_ref:
            names = " ".join(filter(None, (ref, lib_ref)))
            ctx.console.note(f"{names} is not deployed by this run: unfinished releases come first")
        _resume(ctx, plans, waiting, unfinished)
        return
    if unfinished == "back":
        # It may have gone back already: deploying now is the opposite of what was asked.
        ctx.console.note("no release is unfinished; nothing was changed")
        ctx.finish(plans, _plan_row)
        return
    ctx.confirm(f"Deploy to {', '.join(item.host for item in todo)}?")
    _roll(ctx, plans, lambda host, plan: apply.apply(host, plan, watch_s=watch_s))


@task(help={"ref": REF_HELP, "lib-ref": LIB_HELP}, auto_shortflags=False)
def pending(ctx: Context, ref: str = "", lib_ref: str = "") -> None:
    """Show what a deploy would change on each host, as one table.

    Example: inv -H all deploy.pending
    """
    ctx.finish(ctx.reader.overview(lambda host: _plan(host, ref, lib_ref, preview=True), _plan_row))


@task(
    help={"watch": "How many seconds to watch the service after its start."},
    auto_shortflags=False,
)
def rollback(ctx: Context, watch: int = 0) -> None:
    """Go back to the previous release, with its dependencies and database schema.

    Newer database rows are carried over.

    Example: inv -H tpp deploy.rollback
    """
    from opstasks.deploy import apply, rollback

    watch_s = _watch_s(watch)
    found = ctx.fleet.gather(lambda host: rollback.make_plan(rollback.inspect(host)))
    plans = _judge(ctx, found)
    if ctx.options.dry:
        ctx.finish(plans, _plan_row)
        return
    ctx.confirm(f"Go back on {', '.join(plans.values)}?")
    _roll(ctx, plans, lambda host, plan: apply.apply(host, plan, watch_s=watch_s))


@task(help={"limit": "How many releases to show for each host."}, auto_shortflags=False)
def releases(ctx: Context, limit: int = 10) -> None:
    """List deployed releases: when, by whom, from and to which version, and the outcome.

    Example: inv -H all deploy.releases
    """
    from opstasks.core.errors import Refused
    from opstasks.deploy import release

    if limit < 1:
        raise Refused("--limit must be 1 or greater", hint="--limit 10, or leave it out")
    result = ctx.reader.table(
        lambda host: release.list_releases(host.service, limit)[:limit],
        ["when", "who", "kind", "from", "to", "outcome", "reason"],
        lambda found: map(_release_cells, found),
        nothing="nothing was deployed yet",
    )
    ctx.finish(result)


def _release_cells(r: Release) -> list[object]:
    outcome = r.outcome or "UNFINISHED"
    return [r.when(), r.who, r.kind, r.from_name, r.to_name, outcome, r.reason]


def _watch_s(watch: int) -> int | None:
    """How long to watch; None, for the inventory's value, when `watch` is 0 (the default)."""
    from opstasks.core.errors import Refused

    if watch < 0:
        raise Refused("--watch must be 0 or greater", hint="--watch 15, or leave it out")
    return watch or None


def _plan(
    host: Host, ref: str, lib_ref: str, *, restart: bool = False, preview: bool = False
) -> DeployPlan:
    """Inspect a host and plan its deploy to the given refs (default: the inventory's)."""
    from opstasks.deploy.facts import inspect
    from opstasks.deploy.plan import make_plan

    wanted = host.spec.deploy
    refs = (ref or wanted.code.ref, lib_ref or wanted.lib.ref)
    facts = inspect(host, *refs, preview=preview)
    return make_plan(facts, restart=restart)


def _judge(ctx: Context, plans: FleetResult[DeployPlan]) -> FleetResult[DeployPlan]:
    """Show every plan; end here unless all hosts can be deployed (or --keep-going)."""
    from opstasks.core.result import FleetResult
    from opstasks.deploy.preview import preview
    from opstasks.output.console import Painted

    judged = FleetResult([_judged(item) for item in plans])
    for item in plans:
        if item.value is not None:
            ctx.console.say(Painted(item.host, "bold"))
            words = ["nothing to do"] if item.value.nothing_to_do else preview(item.value)
            for line in words:
                ctx.console.say(f"  {line}")
    if judged.exit_code and not (ctx.options.keep_going and judged.values):
        ctx.finish(judged)
    return judged


def _judged(item: HostResult[DeployPlan]) -> HostResult[DeployPlan]:
    """The outcome of a plan with problems: refused, or failed if the release is broken."""
    from dataclasses import replace

    from opstasks.core.errors import Refused, VerifyFailed

    if item.value is None or not item.value.problems or item.value.facts.unfinished:
        return item
    problems = item.value.problems
    kind = VerifyFailed if all(p.in_release for p in problems) else Refused
    detail = item.value.facts.import_error if any(p.in_release for p in problems) else ""
    error = kind(
        "nothing was touched: " + "; ".join(p.text for p in problems),
        host=item.host,
        tail=detail,
        hint=problems[0].hint,
    )
    return replace(item, outcome=kind.outcome, value=None, error=error)


def _roll(
    ctx: Context,
    plans: FleetResult[DeployPlan],
    work: Callable[[Host, DeployPlan], DeployResult],
) -> None:
    """Carry out plans in inventory order; hosts without a plan keep their result."""
    ctx.finish(plans.replaced(ctx.carry_out(plans, work)), _result_row)


def _resume(
    ctx: Context,
    plans: FleetResult[DeployPlan],
    unfinished: list[HostResult[DeployPlan]],
    choice: str,
) -> None:
    """Finish or undo unfinished releases; hosts without one are not started."""
    from opstasks.deploy import apply
    from opstasks.deploy.preview import unfinished_lines

    for item in unfinished:
        assert item.value
        for line in unfinished_lines(item.value.facts):
            ctx.console.note(f"{item.host}: {line}")
    edited = [item.host for item in unfinished if item.value and _is_edited(item.value)]
    if edited:
        ctx.confirm(f"Undo the edits on {', '.join(edited)}? They are kept as a patch.")
    choice = choice or ctx.choose("Finish it, or go back?", ["finish", "back"])

    def work(host: Host, plan: DeployPlan) -> DeployResult:
        if plan.facts.unfinished:
            return apply.resume(host, plan.facts, roll_back=choice == "back")
        return apply.apply(host, plan)

    _roll(ctx, plans.replaced(_not_started(plans)), work)


def _not_started(plans: FleetResult[DeployPlan]) -> FleetResult[DeployPlan]:
    """Mark hosts that have something to deploy, but no unfinished release, as not started."""
    from dataclasses import replace

    from opstasks.core.result import FleetResult

    return FleetResult(
        [replace(item, outcome="not started", value=None) for item in plans if _waits(item)]
    )


def _is_edited(plan: DeployPlan) -> bool:
    """Whether finishing and going back both undo edits."""
    return bool(plan.facts.code.dirt.edited or plan.facts.lib.dirt.edited)


def _waits(item: HostResult[DeployPlan]) -> bool:
    """Whether a host has something to deploy, but no unfinished release."""
    plan = item.value
    return plan is not None and not plan.facts.unfinished and not plan.nothing_to_do


def _plan_row(plan: DeployPlan) -> dict[str, object]:
    """One row of the table of all hosts."""
    facts = plan.facts
    return {
        "deployed": facts.code.head_name,
        "target": facts.code.target_name or facts.code.error,
        "status": facts.code.direction,
        "ahead": len(facts.code.lost),
        "behind": len(facts.code.gained),
        "dependencies": facts.lib.error or facts.lib.direction,
        "dirty": ((facts.code.dirt or facts.lib.dirt) and "yes") or "",
        "migrations": _migrations(facts),
        "new keys": ", ".join(facts.missing_keys),
        "problems": "; ".join(problem.text for problem in plan.problems),
    }


def _migrations(facts: DeployFacts) -> str:
    if facts.unknown_migrations:
        return f"unknown, {facts.unknown_migrations}"
    return ", ".join(str(item.version) for item in facts.migrations)


def _result_row(result: DeployResult) -> dict[str, object]:
    return {
        "from": result.from_name,
        "to": result.to_name,
        "changed": result.changed,
        "notes": "; ".join(result.notes),
    }


namespace = Collection("deploy")
namespace.add_task(apply, default=True)
namespace.add_task(pending)
namespace.add_task(rollback)
namespace.add_task(releases)
