"""`lock`: who is changing a host, and what to do when that one hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection, task

from opstasks.cli.app import Context
from opstasks.core.formats import span_text

if TYPE_CHECKING:
    from opstasks.fleet.host import Host
    from opstasks.locks.breaking import Held


@task(auto_shortflags=False)
def show(ctx: Context) -> None:
    """Show who is changing which host right now.

    Example: inv -H all lock.show
    """
    from opstasks.fleet import lock

    def read(host: Host) -> str:
        owner = lock.parse_owner(host.service.output(lock.holder(host.spec)))
        return owner.describe() if owner else "free"

    ctx.finish(ctx.fleet.gather(read), lambda text: {"lock": text})


@task(
    name="break",
    help={
        "reason": "Why; kept in the audit. Required.",
        "kill": "Kill what does not end within ten seconds.",
    },
    auto_shortflags=False,
)
def break_(ctx: Context, reason: str = "", kill: bool = False) -> None:
    """Stop what holds a host's lock and hangs; shows who and what, asks, records it.

    A lock whose holder is gone needs no breaking: it is free by itself within a minute.

    Example: inv -H tpp lock.break --reason "laptop died, its step hangs on a network drive"
    """
    from opstasks.core.errors import Refused
    from opstasks.locks import breaking as lock_break

    if not reason.strip() or not reason.isprintable():
        raise Refused("say why, in one line", hint='add --reason "..."')
    if len(ctx.fleet.hosts) != 1:
        raise Refused("name one host", hint="inv -H tpp lock.break --reason ...")
    found = ctx.fleet.gather(lock_break.look)
    if found.exit_code:
        ctx.finish(found)
    (held,) = found.values.values()
    _show(ctx, held)
    if ctx.options.dry:
        ctx.finish(found)
        return
    if held.owner:
        ctx.confirm("Stop these? What they were doing stays half-done.")
    done = ctx.fleet.roll(lambda host: lock_break.break_(host, held, reason, kill=kill))
    if any(outcome.changed for outcome in done.values.values()):
        ctx.console.note("Run the task that was cut off again: it looks first and goes on.")
    ctx.finish(
        done,
        lambda out: {"changed": out.changed, "held by": out.owner, "stopped": len(out.stopped)},
    )


def _show(ctx: Context, held: Held) -> None:

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
