"""`scheduled`: what hosts will do by themselves, what became of it, and how to stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke import Collection, task

from opstasks.cli.app import Context

if TYPE_CHECKING:
    from opstasks.fleet.host import Host
    from opstasks.maintenance.records import Item, Maintenance


@task(
    help={"limit": "How many past ones of each host."},
    auto_shortflags=False,
)
def show(ctx: Context, limit: int = 5) -> None:
    """Show what is armed on each host, when, by whom and why; and past ones with their outcome.

    Example: inv -H all scheduled
    """
    from opstasks.core.errors import Refused
    from opstasks.maintenance import records

    if limit < 0:
        raise Refused(f"{limit} is no number of past ones")

    def read(host: Host) -> list[dict[str, Any]]:
        found = records.parse(host.service.output(records.read_command(host.spec)))
        return _entries(found, limit)

    result = ctx.fleet.gather(read)
    ctx.console.table(
        ["host", "what", "state", "when", "in", "by", "why", "outcome", "id"],
        [[host, *_cells(entry)] for host, found in result.values.items() for entry in found],
    )
    if result.values and not any(result.values.values()):
        ctx.console.say("nothing is scheduled")
    ctx.finish(result)


def _entries(found: Maintenance, limit: int) -> list[dict[str, Any]]:
    """What lies ahead first, then the newest of the past."""
    ahead = found.open()
    past = [item for item in found.wanted() if item not in ahead]
    return [
        {
            "id": item.id,
            "what": item.kind,
            "state": found.state(item),
            "due": item.due,
            "when": item.due_there,
            "in_s": round(item.due - found.now),
            "who": item.who,
            "why": item.why,
            "reboot": item.reboot,
            "outcome": found.why_so(item),
        }
        for item in [*ahead, *past[:limit]]
    ]


def _cells(entry: dict[str, Any]) -> list[object]:
    from opstasks.core.formats import span_text
    from opstasks.maintenance import prepare

    ahead = entry["state"] == "armed" and entry["in_s"] > 0
    return [
        entry["what"] + (" + reboot" if entry["reboot"] else ""),
        entry["state"],
        prepare.when(entry["due"], entry["when"]),
        span_text(entry["in_s"]) if ahead else "",
        entry["who"],
        entry["why"],
        entry["outcome"],
        entry["id"],
    ]


@task(
    iterable=["id"],
    positional=[],
    help={
        "id": "Which one (the beginning will do). Without it: the only one, or choose by number.",
        "reason": "Why, for the record.",
    },
    auto_shortflags=False,
)
def cancel(ctx: Context, id: list[str], reason: str = "") -> None:
    """Take away what is armed; also what waits for jobs to end, until it stops the service.

    Example: inv -H tpp scheduled.cancel 20261201T091500-4f2a9c
    """
    from opstasks.core.errors import Refused
    from opstasks.maintenance import cancelling

    if len(id) > 1:
        raise Refused("one at a time", hint="name one of them")
    wanted, why = id[0] if id else "", ctx.one_line(reason, "reason")
    found = ctx.fleet.gather(lambda host: cancelling.candidates(host, wanted))
    if found.exit_code and not ctx.options.keep_going:
        ctx.finish(found)
    if ctx.options.dry:
        if wanted and found.values and not any(found.values.values()):
            raise Refused(f"nothing armed is called {wanted!r}", hint="inv -H all scheduled")
        ctx.finish(found, _would)
        return
    chosen = {host: _which(ctx, host, items) for host, items in found.values.items()}
    result = ctx.fleet.roll(
        lambda host: cancelling.cancel(host, chosen.get(host.name) or wanted, why)
    )
    ctx.finish(result, _cancelled)


def _which(ctx: Context, host: str, items: list[Item]) -> str:
    """The id of the one that is meant; a person chooses among several."""
    if len(items) < 2:
        return items[0].id if items else ""
    lines = [
        f"{_named(item)}, by {item.who}" + (f": {item.why}" if item.why else "") for item in items
    ]
    commands = [
        f"inv -H {host} scheduled.cancel {item.id}   # {line}"
        for item, line in zip(items, lines, strict=True)
    ]
    return items[ctx.pick(f"{host}: {len(items)} are armed.", lines, commands)].id


cancel.variadic = "--id"


def _would(items: list[Item]) -> dict[str, object]:
    """What `--dry` shows of a host; one of several would be asked for."""
    texts = [f"{_named(item)} ({item.id})" for item in items]
    return {"would cancel": " or ".join(texts) or "nothing is armed"}


def _named(item: Item) -> str:
    from opstasks.maintenance import prepare

    return f"{item.kind} for {prepare.when(item.due, item.due_there)}"


def _cancelled(out: Any) -> dict[str, object]:
    from opstasks.maintenance import prepare

    item = out.item
    return {
        "what": item.kind if item else "nothing was armed",
        "for": prepare.when(item.due, item.due_there) if item else "",
        "by": item.who if item else "",
        "outcome": f"{item.outcome}: {item.reason}" if item else "",
        "id": item.id if item else "",
        "changed": out.changed,
    }


namespace = Collection("scheduled")
namespace.add_task(show, default=True)
namespace.add_task(cancel)
