"""`status`: an overview of all hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opstasks.cli.context import Context
from opstasks.cli.task import EVERY, task

if TYPE_CHECKING:
    from opstasks.output.screens import Screen
    from opstasks.status.model import HostStatus


@task(changes=False, help={"watch": "Refresh the screen until Ctrl-C.", "every": EVERY})
def status(ctx: Context, watch: bool = False, every: float = 5.0) -> None:
    """Show one row for each host, then what needs a person.

    The exit code is 1 if a host is down, failed, stale or forgotten, and 3 if one does not answer
    (docs/exit-codes.md). A pause with an end, and a pause or stop of less than a day, are intended:
    0. FAIL24h counts the jobs that failed in the last 24 hours, DISK is the use of the fullest
    disk, NEXT what is scheduled. --wide shows all columns, and all texts whole.

    Example: inv -H all status
    """
    from opstasks.cli.watching import watch_hosts
    from opstasks.status.inspect import inspect
    from opstasks.status.verdict import conclude

    if watch:
        watch_hosts(ctx, inspect, lambda: _screen(ctx), every)
    ctx.finish(conclude(ctx.reader.screen(inspect, _screen(ctx))))


def _screen(ctx: Context) -> Screen[HostStatus]:
    from opstasks.status.screen import status_screen

    return status_screen(lambda: ctx.table_clock, ctx.console.window, wide=ctx.console.wide)
