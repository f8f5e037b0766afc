"""`status`: an overview of all hosts."""

from __future__ import annotations

from typing import Any

from opstasks.cli.app import Context
from opstasks.cli.task import task


@task(changes=False)
def status(ctx: Context) -> None:
    """Show one row for each host: service, release, jobs, disk, lock and what needs a person.

    Example: inv -H all status
    """
    from opstasks.status.inspect import inspect

    ctx.finish(ctx.reader.overview(inspect, _row, lambda found: found.attention))


def _row(found: Any) -> dict[str, object]:
    return {
        "unit": found.unit,
        "since": found.since,
        "deployed": found.deployed,
        "paused": found.paused,
        "running": "unknown" if found.running is None else found.running,
        "pending": "unknown" if found.pending is None else found.pending,
        "disk": found.disk,
        "last deploy": found.last_deploy,
        "lock": found.lock,
        "scheduled": found.scheduled,
        **({"sync": found.sync} if found.sync else {}),
    }
