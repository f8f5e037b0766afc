"""`history`: who did what, where, when, and how it ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opstasks.cli.app import Context
from opstasks.cli.task import Flag, since, task
from opstasks.core.formats import clock_text

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.history.read import HistoryFilter, HistoryRow

HEADERS = ("when (UTC)", "host", "login", "who", "task", "outcome", "what", "detail")


@task(
    changes=False,
    anywhere=True,
    help={
        "host": "Only hosts with this name or glob.",
        "task": "Only tasks with this name, part of a name or glob: deploy, outputs.*",
        "since": since("Only changes since then"),
        "who": Flag("Only changes by these people; part of the name is enough.", value="NAME"),
        "lines": Flag("How many changes to show for each host.", value="N", short="n", least=1),
    },
)
def history(
    ctx: Context, host: str = "", task: str = "", since: str = "", who: str = "", lines: int = 20
) -> None:
    """Show who changed what, when and how it ended, from the hosts' journals and your own record.

    Without -H, on a machine that is not a host, it shows only your own record.

    Example: inv -H all history --task deploy --since 7d
    """
    from opstasks.core import durations
    from opstasks.history.read import HistoryFilter

    moment = durations.moment(since, datetime.now(UTC)) if since else None
    result = _read(ctx, HistoryFilter(host, task, who, moment), lines)
    ctx.seen("people", result.values, lambda rows: [row.who for row in rows])
    ctx.seen("users", result.values, lambda rows: [row.login for row in rows])
    if not any(item.value for item in result):
        ctx.console.say("no changes match")
    ctx.finish(result)


def _read(ctx: Context, wanted: HistoryFilter, lines: int) -> FleetResult[list[HistoryRow]]:
    """Read, and show the rows of hosts that have answered, in the order of time."""
    from opstasks.fleet import audit
    from opstasks.history.merge import clock_texts, combine, ignored_texts, without_hosts
    from opstasks.history.read import read, read_local
    from opstasks.output.rows import GrowingTable

    local = read_local(audit.local_path())
    table = GrowingTable(ctx.console)

    def show(batch: FleetResult[list[HistoryRow]]) -> None:
        rows = sorted((row for item in batch for row in item.value or []), key=lambda row: row.at)
        table.add(HEADERS, map(_cells, rows))

    if not ctx.options.hosts and ctx.fleet.hosts[0].name == "local":
        own = without_hosts(local, wanted, lines)
        show(own)
        return own
    journals = ctx.reader.collect(
        lambda host: read(host, wanted, lines),
        lambda batch: show(combine(batch, local, wanted, lines)),
    )
    for text in (*ignored_texts(journals), *clock_texts(journals)):
        ctx.console.note(text)
    return combine(journals, local, wanted, lines)


def _cells(row: HistoryRow) -> list[object]:
    what = " ".join(f"{key}={value}" for key, value in row.args.items() if len(value) <= 40)
    when = clock_text(row.at)
    return [when, row.host, row.login, row.who, row.task, row.outcome, what[:80], row.detail[:80]]
