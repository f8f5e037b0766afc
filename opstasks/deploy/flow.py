"""From plans to results: show what is planned, ask, carry it out, and say what was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from opstasks.cli import changing
from opstasks.cli.context import NAMED, Context
from opstasks.core.errors import Refused, VerifyFailed
from opstasks.core.formats import first_names, plural
from opstasks.core.hints import typed
from opstasks.core.result import FleetResult, HostResult
from opstasks.deploy import apply, preview, resume, told
from opstasks.deploy.apply import DeployResult
from opstasks.deploy.document import DeployPreview, document
from opstasks.deploy.plan import DeployPlan
from opstasks.fleet.host import Host
from opstasks.output.summary import Told

Plans = Mapping[str, DeployPlan]


@dataclass(frozen=True)
class Wording:
    """What differs between a deploy and a rollback: the question, and the command that undoes it.

    `undo` gets the plans of the hosts; "" if nothing undoes it.
    """

    question: str
    undo: Callable[[Plans], str]


DEPLOY = Wording("Deploy to {hosts}?", lambda plans: "deploy.rollback" if _has_moves(plans) else "")
ROLLBACK = Wording("Go back on {hosts}?", lambda plans: _deploy_again(plans))
NO_UNDO = Wording("", lambda plans: "")


def judge(ctx: Context, found: FleetResult[DeployPlan]) -> FleetResult[DeployPlan]:
    """Plans with problems become errors; ends the program then, unless --keep-going or --dry."""
    keep_refs(ctx, found.mapped(document))
    judged = FleetResult([_judged(item) for item in found])
    shown = judged.mapped(_shown(ctx))
    changing.need_every_host(ctx, judged, shown, lambda plan: not plan.nothing_to_do)
    return judged


def _shown(ctx: Context) -> Callable[[DeployPlan], DeployPreview | DeployResult]:
    """What `--json` shows of a host where nothing was done: the plan with --dry."""
    return document if ctx.options.dry else apply.unchanged


def keep_refs(ctx: Context, found: FleetResult[DeployPreview]) -> None:
    """Keep the names of commits for the Tab key."""
    ctx.seen("refs", found.values, lambda seen: seen.code.known_as)
    ctx.seen("lib_refs", found.values, lambda seen: seen.lib.known_as)


def _judged(item: HostResult[DeployPlan]) -> HostResult[DeployPlan]:
    """The outcome of a plan with problems: refused, or failed if the release is broken."""
    plan = item.value
    if plan is None or not plan.problems or plan.facts.unfinished:
        return item
    first, *others = plan.problems
    kind = VerifyFailed if all(p.in_release for p in plan.problems) else Refused
    lines = [f"{other.text} (next: {typed(other.hint)})" for other in others]
    if any(p.in_release for p in plan.problems):
        lines.append(plan.facts.import_error)
    if not plan.facts.is_confined:
        lines.append(preview.UNCONFINED)
    more = f"; {plural(len(others), 'more problem')}" if others else ""
    error = kind(
        f"nothing was touched: {first.text}{more}",
        host=item.host,
        tail="\n".join(filter(None, lines)),
        hint=first.hint,
    )
    return replace(item, outcome=kind.outcome, value=None, error=error)


def roll(
    ctx: Context, plans: FleetResult[DeployPlan], words: Wording, *, all_commits: bool
) -> None:
    """Show the plans, ask, and carry them out; with --dry only show them."""
    todo = {host: plan for host, plan in plans.values.items() if not plan.nothing_to_do}
    idle = {host: plan for host, plan in plans.values.items() if plan.nothing_to_do}
    width = ctx.console.window
    if todo:
        undo = _undo(ctx, words, todo)
        how = {"all_commits": all_commits, "wide": ctx.console.wide}
        ctx.console.say_lines(preview.lines(todo, width, undo=undo, **how))
    ctx.console.say_lines(preview.idle_lines(idle))
    if ctx.options.dry or not todo:
        ctx.finish(plans.mapped(_shown(ctx)))
        return
    ctx.confirm(words.question.format(hosts=first_names(list(todo), NAMED)))

    def whole(count: int) -> str:
        names = {plan.facts.code.target_name for plan in todo.values()}
        where = f"at {names.pop()}" if len(names) == 1 else "at their targets"
        return f"{plural(count, 'host')} {where}"

    carry_out(ctx, plans, todo, apply.apply, told.told(whole, _undone(ctx, words, todo), width))


def carry_out(
    ctx: Context,
    plans: FleetResult[DeployPlan],
    todo: Plans,
    work: Callable[[Host, DeployPlan], DeployResult],
    words: Told[DeployResult],
) -> None:
    """Change the hosts in inventory order; those without a plan to carry out keep their result."""
    chosen = [host for host in ctx.fleet.hosts if host.name in todo]
    done = ctx.carry_out(plans, work, chosen, words)
    ctx.console.say_lines(told.note_lines(done))
    ctx.finish(plans.mapped(apply.unchanged).replaced(done))


# -- unfinished releases ---------------------------------------------------------------------


def nothing_unfinished(ctx: Context, plans: FleetResult[DeployPlan]) -> None:
    """With --unfinished, only unfinished releases are continued: never deploy another one."""
    hosts = ", ".join(plans.values)
    ctx.console.say(f"nothing to do: no release is unfinished on {hosts}")
    ctx.finish(plans.mapped(_shown(ctx)))


def continue_unfinished(
    ctx: Context, plans: FleetResult[DeployPlan], choice: str, *, not_deployed: str
) -> None:
    """Finish or undo unfinished releases; hosts without one are not started.

    `not_deployed` are the refs that a person asked for: they are not deployed by this run.
    """
    todo = {host: plan for host, plan in plans.values.items() if plan.facts.unfinished}
    ctx.console.say_lines(resume.lines(todo))
    if not_deployed:
        ctx.console.note(
            f"{not_deployed} is not deployed by this run: unfinished releases come first"
        )
    if ctx.options.dry:
        ctx.finish(plans.mapped(document))
        return
    edited = [host for host, plan in todo.items() if resume.is_edited(plan)]
    if edited:
        ctx.confirm(f"Undo the edits on {', '.join(edited)}? They are kept as a patch.")
    choice = choice or ctx.choose(f"Finish on {', '.join(todo)}, or go back?", ["finish", "back"])

    def work(host: Host, plan: DeployPlan) -> DeployResult:
        return apply.resume(host, plan, roll_back=choice == "back")

    def whole(count: int) -> str:
        done = "finished" if choice == "finish" else "undone"
        return f"release {done} on {plural(count, 'host')}"

    undone = _undone(ctx, DEPLOY if choice == "finish" else NO_UNDO, todo)
    words = told.told(whole, undone, ctx.console.window)
    carry_out(ctx, _waiting(plans), todo, work, words)


def _waiting(plans: FleetResult[DeployPlan]) -> FleetResult[DeployPlan]:
    """Mark hosts that have something to deploy, but no unfinished release, as not started."""
    return FleetResult(
        [
            replace(item, outcome="not started", value=None) if _waits(item) else item
            for item in plans
        ]
    )


def _waits(item: HostResult[DeployPlan]) -> bool:
    """Whether a host has something to deploy, but no unfinished release."""
    plan = item.value
    return plan is not None and not plan.facts.unfinished and not plan.nothing_to_do


# -- the command that undoes it --------------------------------------------------------------


def _undo(ctx: Context, words: Wording, plans: Plans) -> str:
    """The command that undoes it on hosts; "" if there is none."""
    return changing.command_for(ctx, words.undo(plans), plans)


def _undone(ctx: Context, words: Wording, todo: Plans) -> Callable[[str], str]:
    """The same for the names of hosts, as `Told.undo` gets them."""
    return lambda names: _undo(ctx, words, {host: todo[host] for host in names.split(",")})


def _has_moves(plans: Plans) -> bool:
    return any(plan.moves or plan.facts.unfinished for plan in plans.values())


def _deploy_again(plans: Plans) -> str:
    """The deploy that undoes a rollback, by hash; "" if that differs between the hosts."""
    pairs = {(plan.facts.code.head, plan.facts.lib.head) for plan in plans.values()}
    if len(pairs) != 1:
        return ""
    code, lib = pairs.pop()
    return f"deploy --ref {code[:12]} --lib-ref {lib[:12]}"
