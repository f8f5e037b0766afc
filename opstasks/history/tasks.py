"""`history`: who did what, where, when, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from opstasks.cli.app import Context

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.history.read import HostHistory
    from opstasks.history.screen import Asked, HistoryScreen


@task(
    help={
        "host": "Only hosts with this name or glob.",
        "task": "Only tasks with this name, part of a name or glob: deploy, outputs.*",
        "since": "Only changes since then: 90s, 1h30m, 7d, yesterday or '2026-11-24 10:00' (UTC).",
        "who": "Only changes by these people; part of the name is enough.",
        "limit": "How many of the newest changes of each host to show; 0: all. [20]",
    },
    auto_shortflags=False,
)
def history(
    ctx: Context, host: str = "", task: str = "", since: str = "", who: str = "", limit: int = 20
) -> None:
    """Show who changed what, when and how it ended, the newest last.

    It merges the journals of the hosts and your own record. Without -H, on a machine that is not a
    host, it shows only your own record.

    Example: inv -H all history --task deploy --since 7d
    """
    from opstasks.cli import flags
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.fleet import audit
    from opstasks.history.merge import by_host
    from opstasks.history.read import HistoryFilter, read_local
    from opstasks.history.screen import Asked, history_screen, notes

    flags.count("--limit", limit)
    wanted = HistoryFilter(host, task, who, flags.moment("--since", since))
    asked = Asked(wanted, limit, by_host(read_local(audit.local_path())), since)
    names = ctx.options.hosts and [one.name for one in ctx.fleet.hosts]
    only = names[0] if len(names) == 1 else ""
    screen = history_screen(asked, ctx.clock, only, is_piped=not ctx.console.window)
    result = _read(ctx, asked, screen)
    for text in notes(result, screen):
        ctx.console.note(text)
    rows = [(item, item.value.rows if item.value else []) for item in result]
    ctx.finish(
        FleetResult(
            [HostResult(i.host, i.outcome, found, i.error, i.elapsed_s) for i, found in rows]
        )
    )


def _read(ctx: Context, asked: Asked, screen: HistoryScreen) -> FleetResult[HostHistory]:
    """Read and show; a host that does not answer keeps its error, and has the rows of our file."""
    from opstasks.history.merge import only_own, with_own
    from opstasks.history.read import read

    if not ctx.options.hosts and ctx.fleet.hosts[0].name == "local":
        result = only_own(asked.own, asked.wanted, asked.limit)
        ctx.console.say_lines(screen.lines(result, ctx.console.window, wide=ctx.console.wide))
        ctx.console.ids(id for item in result for id in screen.ids_of(item))
        return result
    journals = ctx.reader.screen(
        lambda host: asked.of(host.name, read(host, asked.wanted, asked.limit)), screen
    )
    return with_own(journals, asked.own, asked.wanted, asked.limit)
