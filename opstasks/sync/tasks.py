"""`sync`: copy Level 3 files to the medium-privacy workspaces (playbook: "Level 3 file sync")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import NOT_FOR_SCREENS, Flag, task

if TYPE_CHECKING:
    from opstasks.fleet.host import Host
    from opstasks.sync.act import SyncResult
    from opstasks.sync.screen import Verb

NAMES = 20
LIMIT = Flag(
    "At most so many names of copied files for each host; 0: all.",
    value="N",
    excludes=NOT_FOR_SCREENS,
)


@task(changes=True, help={"limit": LIMIT})
def start(ctx: Context, limit: int = NAMES) -> None:
    """Start copying Level 3 files every two minutes, also after a reboot.

    Example: inv -H tpp sync.start
    """
    from opstasks.sync import act

    _roll(ctx, "start", act.start, limit)


@task(changes=True)
def stop(ctx: Context) -> None:
    """Stop copying Level 3 files; asks first.

    A run in progress is interrupted and leaves no partial file.

    Example: inv -H tpp sync.stop
    """
    from opstasks.sync import act

    _roll(ctx, "stop", act.stop, NAMES)


@task(changes=True, help={"limit": LIMIT})
def once(ctx: Context, limit: int = NAMES) -> None:
    """Copy Level 3 files once, now, and show the copied files.

    Example: inv -H tpp sync.once
    """
    from opstasks.sync import act

    _roll(ctx, "once", act.once, limit)


@task(changes=False)
def status(ctx: Context) -> None:
    """Show whether Level 3 files are copied, and what went wrong.

    Example: inv -H all sync.status
    """
    from opstasks.sync import facts
    from opstasks.sync.screen import screen

    ctx.finish(
        ctx.reader.screen(facts.inspect, screen(lambda: ctx.table_clock, ctx.console.window))
    )


def _roll(ctx: Context, verb: Verb, work: Callable[[Host], SyncResult], limit: int) -> None:
    """Inspect all hosts, show the plan, ask, then change one host after another."""
    from opstasks.cli.changing import need_every_host
    from opstasks.sync import act, facts, screen

    found = ctx.fleet.gather(facts.inspect)
    unchanged = found.mapped(act.unchanged)
    need_every_host(ctx, found, unchanged, lambda state: not screen.is_done(verb, state))
    console = ctx.console
    console.say_lines(
        screen.plan_lines(verb, found.values, ctx.clock, console.window, wide=console.wide)
    )
    if ctx.options.dry:
        ctx.finish(found)
        return
    if verb == "stop" and not all(state.is_off for state in found.values.values()):
        ctx.confirm(f"Stop the Level 3 sync on {', '.join(found.values)}?")
    hosts = [host for host in ctx.fleet.hosts if host.name in found.values]
    done = ctx.roll(work, hosts, screen.done(verb))
    for host, result in done.values.items():
        ctx.console.say_lines(screen.copied_lines(host, result, limit))
    ctx.finish(unchanged.replaced(done))


namespace = Collection("sync", start, stop, once, status)
