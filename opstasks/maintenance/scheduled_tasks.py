"""`scheduled`: what hosts will do by themselves, the outcome of past work, and cancelling it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import Flag, task

if TYPE_CHECKING:
    from opstasks.core.errors import Refused
    from opstasks.fleet.host import Host
    from opstasks.maintenance.cancel import CancelResult
    from opstasks.maintenance.records import ScheduledItem
    from opstasks.maintenance.scheduled import ScheduledRow


@task(
    changes=False,
    help={"limit": Flag("How many past ones to show for each host.", value="N")},
)
def show(ctx: Context, limit: int = 5) -> None:
    """Show what is scheduled on each host, when, by whom and why; and past work with its outcome.

    Example: inv -H all scheduled
    """
    from opstasks.maintenance import scheduled

    result = ctx.reader.table(
        lambda host: scheduled.inspect(host, limit),
        ["what", "state", "when", "in", "by", "why", "outcome", "id"],
        lambda found: map(_cells, found),
        nothing="nothing is scheduled",
    )
    ctx.seen("scheduled", result.values, lambda found: [(row.id, row.what) for row in found])
    ctx.finish(result)


def _cells(row: ScheduledRow) -> list[object]:
    from opstasks.core.formats import span_text
    from opstasks.maintenance import scheduled

    is_ahead = row.state == "scheduled" and row.in_s > 0
    return [
        row.what + (" + reboot" if row.reboot else ""),
        row.state,
        scheduled.due_text(row.due_at, row.when),
        span_text(row.in_s) if is_ahead else "",
        row.who,
        row.why,
        row.outcome,
        row.id,
    ]


@task(
    changes=True,
    variadic="id",
    help={
        "id": "Its id, or the beginning of it. Without it: the only one, or choose by number.",
        "reason": "Why, for the record.",
    },
)
def cancel(ctx: Context, id: str = "", reason: str = "") -> None:
    """Cancel scheduled work; also work that waits for jobs to end, until it stops the service.

    Example: inv -H tpp scheduled.cancel 20261201T091500-4f2a9c
    """
    from opstasks.core.errors import Refused
    from opstasks.maintenance import cancel as cancelling

    wanted, why = id, ctx.one_line(reason, "reason")
    found = ctx.fleet.gather(lambda host: cancelling.inspect(host, wanted))
    ctx.seen("scheduled", found.values, lambda items: [(item.id, item.kind) for item in items])
    if found.exit_code and not ctx.options.keep_going:
        ctx.finish(found)
    if ctx.options.dry:
        if wanted and found.values and not any(found.values.values()):
            raise Refused(f"no scheduled work has the id {wanted!r}", hint="inv -H all scheduled")
        ctx.finish(found, _would)
        return
    chosen, unclear = _choose_for_each(ctx, found.values)

    def cancel_on(host: Host) -> CancelResult:
        if host.name in unclear:
            raise unclear[host.name]
        return cancelling.cancel(host, chosen.get(host.name) or wanted, why)

    ctx.finish(ctx.fleet.roll(cancel_on), _cancelled)


def _choose_for_each(
    ctx: Context, found: dict[str, list[ScheduledItem]]
) -> tuple[dict[str, str], dict[str, Refused]]:
    """The id to cancel by host, and the hosts without a choice.

    Raises Refused for the first host without one, unless --keep-going lets the others go on.
    """
    from opstasks.core.errors import Refused

    chosen, unclear = {}, {}
    for host, items in found.items():
        try:
            chosen[host] = _choose(ctx, host, items)
        except Refused as error:
            if not ctx.options.keep_going:
                raise
            error.host, error.message = host, error.message.removeprefix(f"{host}: ")
            unclear[host] = error
    return chosen, unclear


def _choose(ctx: Context, host: str, items: list[ScheduledItem]) -> str:
    """The id to cancel; a person chooses among several."""
    from opstasks.core.hints import one_word

    if len(items) < 2:
        return items[0].id if items else ""
    lines = [
        f"{_named(item)}, by {item.who}" + (f": {item.why}" if item.why else "") for item in items
    ]
    commands = [
        f"inv -H {host} scheduled.cancel {one_word(item.id)}   # {' '.join(line.split())}"
        for item, line in zip(items, lines, strict=True)
    ]
    return items[ctx.pick(f"{host}: {len(items)} are scheduled.", lines, commands)].id


def _would(items: list[ScheduledItem]) -> dict[str, object]:
    """What `--dry` shows for a host; if there are several, the real run asks for one."""
    texts = [f"{_named(item)} ({item.id})" for item in items]
    return {"would cancel": " or ".join(texts) or "nothing is scheduled"}


def _named(item: ScheduledItem) -> str:
    from opstasks.maintenance import scheduled

    return f"{item.kind} for {scheduled.due_text(item.due_at, item.due_there)}"


def _cancelled(result: CancelResult) -> dict[str, object]:
    from opstasks.maintenance import scheduled

    item = result.item
    if item is None:
        what = "nothing was scheduled"
        return {"what": what, "for": "", "by": "", "outcome": "", "id": "", "changed": False}
    return {
        "what": item.kind,
        "for": scheduled.due_text(item.due_at, item.due_there),
        "by": item.who,
        "outcome": f"{item.outcome}: {item.reason}",
        "id": item.id,
        "changed": result.changed,
    }


namespace = Collection("scheduled")
namespace.add_task(show, default=True)
namespace.add_task(cancel)
