"""For tasks that change hosts: which hosts must have a plan, and the command that undoes it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from opstasks.cli.context import Context
from opstasks.core.hints import one_word
from opstasks.core.result import FleetResult

P = TypeVar("P")


def need_every_host(
    ctx: Context,
    plans: FleetResult[P],
    unchanged: FleetResult[Any],
    wants: Callable[[P], bool],
) -> None:
    """Show what went wrong; end the program then, unless --keep-going or --dry.

    A change of some hosts only must be meant. `unchanged` is the result then, for --json: hosts
    that were not changed. `wants`: whether there is something to do on a host, by its plan.
    """
    if not plans.exit_code:
        return
    if plans.values and (ctx.options.keep_going or ctx.options.dry):
        if not ctx.options.json:
            ctx.console.problems(plans)
        return
    ctx.say_stopped(plans, wants)
    ctx.finish(unchanged)


def command_for(ctx: Context, task: str, hosts: Collection[str]) -> str:
    """``inv -H sandbox deploy.rollback``: a task for hosts of this run; "" for no task."""
    return " ".join(filter(None, ("inv", _flag(ctx, hosts), task))) if task else ""


def _flag(ctx: Context, hosts: Collection[str]) -> str:
    """The flag that selects the hosts, as it was typed if they are all that were selected."""
    if set(hosts) == {host.name for host in ctx.fleet.hosts}:
        return ctx.hosts_text
    return f"-H {one_word(','.join(hosts))}"
