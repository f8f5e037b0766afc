"""`doctor`: what is wrong, and how to fix it."""

from __future__ import annotations

from opstasks.cli.app import Context
from opstasks.cli.task import task


@task(changes=False, help={"all": "Also show the checks that passed."})
def doctor(ctx: Context, all: bool = False) -> None:
    """Check everything that the tasks rely on; exit 1 for any finding.

    Changes nothing. It checks programs, rights, paths, secrets' modes, database, disks, clock,
    docker, service, lock, journal and Level 3 sync. Each finding says what to do next.

    Example: inv -H all doctor
    """
    from opstasks.doctor import checks
    from opstasks.doctor.screen import doctor_screen

    console = ctx.console
    screen = doctor_screen(lambda: ctx.clock, console.window, every=all, wide=console.wide)
    ctx.finish(checks.conclude(ctx.reader.screen(checks.inspect, screen)))
