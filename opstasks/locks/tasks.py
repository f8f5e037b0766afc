"""`lock`: show who is changing a host, and stop a change that hangs."""

from __future__ import annotations

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, task


@task(changes=False)
def show(ctx: Context) -> None:
    """Show who is changing which host right now.

    Example: inv -H all lock.show
    """
    from opstasks.locks import break_lock, reports
    from opstasks.locks.screen import screen

    shown = screen(lambda: ctx.table_clock, ctx.console.window)
    ctx.finish(ctx.reader.screen(break_lock.show, shown).mapped(reports.lock_of))


@task(
    changes=True,
    name="break",
    help={
        "reason": Flag("The reason, for the history.", required=True),
        "kill": "Kill processes that do not end within 10 s of SIGTERM.",
    },
)
def break_(ctx: Context, reason: str = "", kill: bool = False) -> None:
    """Stop hanging processes that hold a host's lock; asks first.

    It shows them before, and records the reason. If the holder is gone, the lock becomes free by
    itself within a minute.

    Example: inv -H tpp lock.break --reason "laptop died, its step hangs"
    """
    from opstasks.locks import break_lock, reports, screen

    _check(ctx, reason)
    found = ctx.fleet.gather(break_lock.inspect)
    if found.exit_code:
        ctx.finish(found)
    ((host, held),) = found.values.items()
    console = ctx.console
    console.say_lines(
        screen.break_plan(host, held, ctx.clock, console.window, kill=kill, wide=console.wide)
    )
    if ctx.options.dry:
        ctx.finish(found.mapped(reports.lock_of))
        return
    if held.owner:
        ctx.confirm(f"Stop these processes on {host}?")
    plan = break_lock.plan(held, reason, kill=kill)
    told = screen.broken(ctx.clock) if held.owner else None
    done = ctx.roll(lambda host: break_lock.apply(host, plan), told=told)
    for result in done.values.values():
        if result.changed:
            ctx.console.say_lines(screen.next_lines(host, result.owner))
    ctx.finish(done.mapped(reports.broken))


def _check(ctx: Context, reason: str) -> None:
    """Raise Refused for wrong usage, before the host is asked."""
    from opstasks.core.errors import Refused

    if not reason:
        raise Refused("--reason is missing", hint='add --reason "..."')
    ctx.one_line(reason, "reason")
    if len(ctx.fleet.hosts) != 1:
        raise Refused(
            f"lock.break needs exactly one host, not {len(ctx.fleet.hosts)}",
            hint="inv -H HOST lock.break --reason ...",
        )


namespace = Collection("lock")
namespace.add_task(show)
namespace.add_task(break_, name="break")
