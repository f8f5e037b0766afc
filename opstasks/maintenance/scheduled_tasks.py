"""`scheduled`: what hosts will do by themselves, the outcome of past work, and cancelling it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, task

if TYPE_CHECKING:
    from opstasks.core.errors import Refused
    from opstasks.core.result import FleetResult
    from opstasks.fleet.host import Host
    from opstasks.maintenance.cancel import CancelChoice, CancelResult
    from opstasks.maintenance.records import ScheduledItem

ALL = -1


@task(
    changes=False,
    ids=True,
    help={
        "all": "Also past work with its outcome, newest first.",
        "limit": Flag("At most so many past ones for each host; 0: all.", value="N", needs="all"),
    },
)
def show(ctx: Context, all: bool = False, limit: int = 20) -> None:
    """Show what hosts will do by themselves: when, who asked for it and why.

    Reboots that are being prepared, and ends of pauses. `-q` prints their ids. Ends with 1 if a
    record could not be read.

    Example: inv -H all scheduled
    """
    from opstasks.core.hints import typed
    from opstasks.maintenance import scheduled
    from opstasks.maintenance import scheduled_reports as reports
    from opstasks.maintenance.scheduled_screen import screen

    past = (limit or ALL) if all else 0
    more = typed(ctx.command_text("scheduled --all"))
    shown = screen(lambda: ctx.table_clock, ctx.console.window, more, with_past=all)
    result = ctx.reader.screen(lambda host: scheduled.inspect(host, past), shown)
    ctx.seen("scheduled", result.values, lambda found: [(r.id, r.what) for r in found.items])
    result.findings = any(found.unreadable for found in result.values.values())
    ctx.finish(result.mapped(reports.schedule))


@task(
    changes=True,
    variadic="id",
    help={
        "id": "As `scheduled` shows it, or a part of it. Without it: the only one, or choose.",
        "reason": "Why, for the record.",
    },
)
def cancel(ctx: Context, id: str = "", reason: str = "") -> None:
    """Cancel scheduled work; asks first.

    Also a preparation that waits for jobs to end, until it stops the service. The end of a pause
    is cancelled only by its id.

    Example: inv -H tpp scheduled.cancel 4f2a9c
    """
    from opstasks.cli.changing import need_every_host
    from opstasks.maintenance import cancel as cancelling
    from opstasks.maintenance import scheduled_reports as reports
    from opstasks.maintenance import scheduled_screen as screen

    wanted, why = id, ctx.one_line(reason, "reason")
    found = ctx.fleet.gather(lambda host: cancelling.inspect(host, wanted))
    ctx.seen("scheduled", found.values, lambda choice: [(i.id, i.kind) for i in choice.items])
    unchanged = found.mapped(reports.not_cancelled)
    need_every_host(ctx, found, unchanged, lambda choice: bool(choice.items))
    chosen, unclear = _choose_for_each(ctx, found.values, wanted)
    ctx.console.say_lines(screen.cancel_plan(chosen, ctx.clock, ctx.console.window))
    if not (chosen or unclear):
        _say_nothing(ctx, found, wanted)
    if ctx.options.dry:
        ctx.finish(found.mapped(reports.cancel_planned))
        return
    if chosen:
        ctx.confirm(f"Cancel this on {', '.join(chosen)}?")

    def cancel_on(host: Host) -> CancelResult:
        if host.name in unclear:
            raise unclear[host.name]
        return cancelling.cancel(host, chosen[host.name].id, why)

    hosts = [host for host in ctx.fleet.hosts if host.name in chosen or host.name in unclear]
    done = ctx.roll(cancel_on, hosts, screen.cancelled(chosen, ctx.clock))
    ctx.finish(unchanged.replaced(done.mapped(reports.cancelled)))


def _choose_for_each(
    ctx: Context, found: dict[str, CancelChoice], wanted: str
) -> tuple[dict[str, ScheduledItem], dict[str, Refused]]:
    """What to cancel by host, and the hosts without a choice.

    Raises Refused for the first host without one, unless --keep-going lets the others go on.
    """
    from opstasks.core.errors import Refused

    chosen, unclear = {}, {}
    for host, choice in found.items():
        try:
            if choice.items:
                chosen[host] = _choose(ctx, host, choice, wanted)
        except Refused as error:
            if not ctx.options.keep_going:
                raise
            unclear[host] = error
    return chosen, unclear


def _choose(ctx: Context, host: str, choice: CancelChoice, wanted: str) -> ScheduledItem:
    """What to cancel; a person chooses among several, and names the end of a pause."""
    from opstasks.core.errors import Refused
    from opstasks.core.hints import typed
    from opstasks.maintenance import scheduled_screen as screen

    commands = screen.commands(host, choice.items, ctx.clock)
    if choice.has_only_ends and not wanted:
        raise Refused(
            "only the end of a pause is scheduled",
            host=host,
            tail="\n".join([typed(f"inv -H {host} unpause   # end the pause now"), *commands]),
            hint="type one of these; without its end, the host stays paused",
        )
    if len(choice.items) == 1:
        return choice.items[0]
    several = f"{len(commands)} are scheduled"
    if ctx.options.dry:
        raise Refused(several, host=host, tail="\n".join(commands), hint="type one of these")
    try:
        lines = screen.candidates(choice.items, ctx.clock)
        return choice.items[ctx.pick(f"{several} on {host}.", lines, commands)]
    except Refused as error:
        error.host, error.message = host, error.message.removesuffix(f" on {host}.")
        raise


def _say_nothing(ctx: Context, found: FleetResult[CancelChoice], wanted: str) -> None:
    """Say that there is nothing to cancel; raises Refused for an id that nothing has."""
    from opstasks.core.errors import Refused
    from opstasks.core.formats import plural
    from opstasks.maintenance import texts

    over = [(host, item) for host, choice in found.values.items() for item in choice.over]
    if wanted and not over:
        hint = ctx.command_text("scheduled --all")
        raise Refused(f"no scheduled work has the id {wanted!r}", hint=hint)
    for host, item in over:
        name = f"{texts.kind_text(item)} {texts.short_id(item.id)}"
        ctx.console.say(f"{host}  {name} is over already: {item.outcome}")
    if not over:
        ctx.console.say(f"nothing is scheduled on {plural(len(found.values), 'host')}")


namespace = Collection("scheduled")
namespace.add_task(show, default=True)
namespace.add_task(cancel)
