"""`history`: who did what, where, when, and how it ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, since, task

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.history.read import HostHistory
    from opstasks.history.screen import HistoryQuestion, HistoryScreen


@task(
    changes=False,
    ids=True,
    anywhere=True,
    help={
        "host": "Only hosts with this name or glob.",
        "task": "Only tasks with this name, part of a name or glob: deploy, outputs.*",
        "since": since("Only changes since then"),
        "who": Flag("Only changes by these people; part of the name is enough.", value="NAME"),
        "limit": Flag("How many of the newest changes of each host; 0: all.", value="N"),
    },
)
def history(
    ctx: Context, host: str = "", task: str = "", since: str = "", who: str = "", limit: int = 20
) -> None:
    """Show who changed what, when and how it ended, the newest last.

    It merges the journals of the hosts and your own record. Without -H, on a machine that is not a
    host, it shows only your own record. Ends with 1 if that could not be read.

    Example: inv -H all history --task deploy --since 7d
    """
    from opstasks.core import durations
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.fleet import audit
    from opstasks.history.merge import by_host
    from opstasks.history.read import HistoryFilter, own_rows
    from opstasks.history.screen import HistoryQuestion, history_screen, notes
    from opstasks.output import fit

    moment = durations.moment(since, datetime.now(UTC)) if since else None
    wanted = HistoryFilter(host, task, who, moment)
    own, problem = own_rows(audit.local_path())
    asked = HistoryQuestion(wanted, limit, by_host(own), since, is_whole=not problem)
    names = ctx.options.hosts and [one.name for one in ctx.fleet.hosts]
    only = names[0] if len(names) == 1 else ""
    # The zone of the hosts is known when they have answered.
    screen = history_screen(asked, lambda: ctx.clock, only, is_piped=not ctx.console.window)
    found = _read(ctx, asked, screen)
    for text in notes(found, screen):
        for line in fit.paragraph(text, ctx.console.window):
            ctx.console.note(line)
    result = FleetResult(
        [
            HostResult(i.host, i.outcome, i.value.rows if i.value else [], i.error, i.elapsed_s)
            for i in found
        ]
    )
    result.error = problem
    ctx.seen("people", result.values, lambda rows: [row.who for row in rows[::-1]])
    ctx.seen("users", result.values, lambda rows: [row.login for row in rows[::-1]])
    ctx.finish(result)


def _read(ctx: Context, asked: HistoryQuestion, screen: HistoryScreen) -> FleetResult[HostHistory]:
    """Read and show; a host that does not answer keeps its error, and has the rows of our file."""
    from opstasks.history.merge import only_own, with_own
    from opstasks.history.read import read

    if not ctx.options.hosts and ctx.fleet.hosts[0].name == "local":
        result = only_own(asked.own, asked.wanted, asked.limit)
        screen.show(ctx.console, result)
        ctx.console.ids(id for item in result for id in screen.ids_of(item))
        return result
    journals = ctx.reader.screen(
        lambda host: asked.of(host.name, read(host, asked.wanted, asked.limit)), screen
    )
    return with_own(journals, asked.own, asked.wanted, asked.limit)
