"""`history`: who did what, where, when, and how it ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from invoke import task

from opstasks.cli.app import Context

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.history.history import Filter, Row


@task(
    help={
        "host": "Only hosts of this name or glob.",
        "task": "Only tasks with this in their name: deploy, outputs.*",
        "since": "Only since then: 90s, 1h30m, 7d, yesterday or '2026-11-24 10:00' (UTC).",
        "who": "Only what these people did; a part of the name is enough.",
        "lines": "How many entries of each host.",
    },
    auto_shortflags=False,
)
def history(
    ctx: Context, host: str = "", task: str = "", since: str = "", who: str = "", lines: int = 20
) -> None:
    """Show who changed what, when and how it ended: the hosts' journals and your own record.

    Without -H, on a machine that is no host, it shows your own record alone.

    Example: inv -H all history --task deploy --since 7d
    """
    from opstasks.core import durations
    from opstasks.core.errors import Refused
    from opstasks.history.history import Filter

    if lines < 1:
        raise Refused(f"{lines} is no number of entries")
    moment = durations.moment(since, datetime.now(UTC)) if since else None
    result = _read(ctx, Filter(host, task, who, moment), lines)
    found = sorted((row for item in result for row in item.value or []), key=lambda row: row.time)
    ctx.console.table(
        ["when", "host", "who", "task", "outcome", "what", "detail"], map(_cells, found)
    )
    if not found and not ctx.options.json:
        ctx.console.say("nothing of the kind")
    ctx.finish(result)


def _read(ctx: Context, wanted: Filter, lines: int) -> FleetResult[list[Row]]:
    from opstasks.fleet import audit
    from opstasks.history import history as workflow

    local = workflow.read_local(audit.local_path())
    if not ctx.options.hosts and ctx.fleet.hosts[0].name == "local":
        return workflow.without_hosts(local, wanted, lines)
    journals = ctx.fleet.gather(lambda host: workflow.read(host, wanted, lines))
    return workflow.combine(journals, local, wanted, lines)


def _cells(row: Row) -> list[object]:
    what = " ".join(f"{key}={value}" for key, value in row.args.items() if len(value) <= 40)
    when = row.time[:19].replace("T", " ")
    return [when, row.host, row.who, row.task, row.outcome, what[:80], row.detail[:80]]
