"""`pause` and `unpause`: hold new jobs back, and let them begin (playbook: "Pausing new jobs")."""

from __future__ import annotations

from opstasks.cli.context import Context
from opstasks.cli.task import SPAN, Flag, task


@task(
    changes=True,
    help={
        "reason": "Why; shown to everyone who finds it paused.",
        "for": Flag(
            "The host unpauses by itself after this long.", value=SPAN, default="until unpause"
        ),
        "replace": "Take over the pause of somebody else: your reason, your end. Asks first.",
    },
)
def pause(ctx: Context, reason: str = "", for_: str = "", replace: bool = False) -> None:
    """Hold new jobs back; running jobs continue.

    Your own pause gets the new reason or end. `status` shows who paused, why and until when.

    Example: inv -H tpp pause --reason 'database upgrade' --for 2h
    """
    from opstasks.cli.changing import need_every_host
    from opstasks.maintenance import flags, pause_screen
    from opstasks.maintenance import pause as pausing
    from opstasks.maintenance import pause_reports as reports

    for_s = flags.ahead_s("for", for_, yes=ctx.options.yes)
    why = ctx.one_line(reason, "reason")
    plans = ctx.fleet.gather(lambda host: pausing.plan(host, why=why, for_s=for_s, replace=replace))
    unchanged = plans.mapped(lambda plan: reports.as_it_was(plan.before))
    need_every_host(ctx, plans, unchanged, lambda plan: plan.changed)
    console = ctx.console
    console.say_lines(
        pause_screen.pause_plan(plans.values, ctx.clock, console.window, wide=console.wide)
    )
    if ctx.options.dry:
        ctx.finish(plans.mapped(reports.pause_planned))
        return
    others = {host: plan.taken for host, plan in plans.values.items() if plan.taken}
    if others:
        ctx.confirm(pause_screen.question("Take over the pause", others))
    told = pause_screen.paused(plans.values, ctx.clock)
    done = ctx.carry_out(plans, pausing.pause, told=told)
    ctx.finish(unchanged.replaced(done.mapped(reports.paused)))


@task(changes=True)
def unpause(ctx: Context) -> None:
    """Let new jobs begin again; a scheduled end of the pause is cancelled.

    Asks before it ends the pause of somebody else.

    Example: inv -H tpp unpause
    """
    from opstasks.cli.changing import need_every_host
    from opstasks.maintenance import pause as pausing
    from opstasks.maintenance import pause_reports as reports
    from opstasks.maintenance import pause_screen

    plans = ctx.fleet.gather(pausing.inspect)
    unchanged = plans.mapped(reports.as_it_was)
    need_every_host(ctx, plans, unchanged, lambda facts: facts.pause is not None)
    console = ctx.console
    console.say_lines(
        pause_screen.unpause_plan(plans.values, ctx.clock, console.window, wide=console.wide)
    )
    if ctx.options.dry:
        ctx.finish(plans.mapped(reports.unpause_planned))
        return
    others = {h: f.pause for h, f in plans.values.items() if f.pause and f.is_others}
    if others:
        ctx.confirm(pause_screen.question("End the pause", others))
    told = pause_screen.unpaused(plans.values, ctx.clock)
    done = ctx.carry_out(plans, pausing.unpause, told=told)
    ctx.finish(unchanged.replaced(done.mapped(reports.paused)))
