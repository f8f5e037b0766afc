"""`lock`: show who is changing a host, and stop a change that hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import task
from opstasks.core.formats import span_text

if TYPE_CHECKING:
    from opstasks.locks.break_lock import HeldLock


@task(changes=False)
def show(ctx: Context) -> None:
    """Show who is changing which host right now.

    Example: inv -H all lock.show
    """
    from opstasks.locks import break_lock

    ctx.finish(ctx.reader.overview(break_lock.show, lambda text: {"lock": text}))


@task(
    changes=True,
    name="break",
    help={
        "reason": "The reason, for the history. Required.",
        "kill": "Kill processes that do not end within ten seconds.",
    },
)
def break_(ctx: Context, reason: str = "", kill: bool = False) -> None:
    """Stop hanging processes that hold a host's lock; shows them, asks and records it.

    If the holder is gone, the lock becomes free by itself within a minute.

    Example: inv -H tpp lock.break --reason "laptop died, its step hangs on a network drive"
    """
    from opstasks.locks import break_lock

    _check(ctx, reason)
    found = ctx.fleet.gather(break_lock.inspect)
    if found.exit_code:
        ctx.finish(found)
    (held,) = found.values.values()
    _show(ctx, held)
    if ctx.options.dry:
        ctx.finish(found)
        return
    if held.owner:
        ctx.confirm("Stop these processes? Their task stays unfinished.")
    plan = break_lock.plan(held, reason, kill=kill)
    done = ctx.fleet.roll(lambda host: break_lock.apply(host, plan))
    if any(result.changed for result in done.values.values()):
        ctx.console.note("Run the interrupted task again: it inspects the host and then continues.")
    ctx.finish(
        done,
        lambda out: {"changed": out.changed, "held by": out.owner, "stopped": len(out.stopped)},
    )


def _check(ctx: Context, reason: str) -> None:
    """Raise Refused for wrong usage, before the host is asked."""
    from opstasks.core.errors import Refused

    if not reason.strip() or not reason.isprintable():
        raise Refused("--reason must be one line of text", hint='add --reason "..."')
    if len(ctx.fleet.hosts) != 1:
        raise Refused(
            f"lock.break needs exactly one host, not {len(ctx.fleet.hosts)}",
            hint="inv -H tpp lock.break --reason ...",
        )


def _show(ctx: Context, held: HeldLock) -> None:
    if held.owner is None:
        ctx.console.say("the lock is free")
        return
    ctx.console.say(f"held by {held.owner.describe()}")
    rows = [
        [process.pid, process.user, span_text(process.age_s), process.unit, process.command]
        for process in held.processes
    ]
    ctx.console.table(["process", "user", "age", "unit", "command"], rows)


namespace = Collection("lock")
namespace.add_task(show)
namespace.add_task(break_, name="break")
