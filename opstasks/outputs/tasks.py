"""`outputs`: Level 4 files, and removing them (playbook: "Removing a Level 4 file")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import Flag, task
from opstasks.core.formats import minute_text, size_text, span_text
from opstasks.core.hints import one_word

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.outputs.act import RemovalResult
    from opstasks.outputs.onhost.records import RemovalRecord
    from opstasks.outputs.plan import RemovalItem, RemovalPlan
    from opstasks.outputs.removals import AttestResult


@task(
    changes=False,
    variadic="workspace",
    iterable=["workspace"],
    help={"workspace": "Only these workspaces; without one, the sizes of all."},
)
def ls(ctx: Context, workspace: list[str]) -> None:
    """List a workspace's medium-privacy (Level 4) files with size, owner and age.

    Example: inv -H tpp outputs.ls my-study
    """
    from opstasks.outputs import listing

    result = ctx.reader.table(
        lambda host: listing.listings(host, workspace),
        ["workspace", "file", "kind", "size", "owner", "age"],
        lambda found: [
            [
                one_word(name or entry.path),
                one_word(entry.path) if name else "",
                entry.kind if entry.kind != "workspace" else f"{entry.files} file(s)",
                size_text(entry.size_bytes),
                entry.owner,
                span_text(entry.age_s),
            ]
            for name, entries in found.items()
            for entry in entries
        ],
    )
    ctx.seen(
        "workspaces", result.values, lambda found: [*found, *(e.path for e in found.get("", []))]
    )
    ctx.finish(result)


@task(
    changes=True,
    variadic="file",
    iterable=["file"],
    help={
        "workspace": "The workspace.",
        "file": Flag("Paths of files inside the workspace, taken literally.", required=True),
        "source": Flag("The copy that the Level 3 sync would bring back.", value="remove|keep"),
        "reason": "Why; stored with the record.",
    },
)
def rm(ctx: Context, workspace: str, file: list[str], source: str = "", reason: str = "") -> None:
    """Remove Level 4 files for good; shows the files and asks for the workspace's name.

    Example: inv -H tpp outputs.rm my-study output/table1.csv
    """
    from opstasks.core.errors import Refused
    from opstasks.outputs import act

    why = ctx.one_line(reason, "reason")
    if not file:
        raise Refused("no file given", hint="inv -H tpp outputs.rm my-study output/table1.csv")
    if len(ctx.fleet.hosts) != 1:
        raise Refused(
            "name one host: files are removed on one host at a time", hint="inv -H tpp ..."
        )
    plans = ctx.fleet.gather(lambda host: act.preview(host, workspace, file))
    if plans.exit_code:
        ctx.finish(plans)
    (plan,) = plans.values.values()
    _show_plan(ctx, plan)
    if ctx.options.dry:
        ctx.finish(plans)
        return
    if plan.items:
        source = _choose_source(ctx, plan, source)
        _confirm(ctx, plan)
    done = ctx.fleet.roll(lambda host: act.apply(host, plan, source=source, reason=why))
    ctx.seen("removals", done.values, lambda found: [(r.id, r.workspace) for r in found.records])
    _show_steps(ctx, done)
    ctx.finish(done, lambda result: {"removed": len(result.records), "changed": result.changed})


def _show_plan(ctx: Context, plan: RemovalPlan) -> None:

    rows = [_item_cells(item, plan.checked_at) for item in plan.items]
    headers = ["file", "size", "owner", "age", "sha256", "at the sync's source"]
    ctx.console.table(headers, rows)
    if plan.source_away:
        ctx.console.note("The Level 3 sync's source is not mounted: its copies return when it is.")
    _show_gone(ctx, plan.gone)


def _show_gone(ctx: Context, gone: tuple[RemovalRecord, ...]) -> None:
    for record in gone:
        ctx.console.say(
            f"{one_word(record.file)}: removed before, by {record.who},"
            f" {minute_text(record.removed_at or record.started_at)} ({record.id})"
        )


def _item_cells(item: RemovalItem, checked_at: float) -> list[object]:

    at_source = "yes" if item.source else ""
    if item.here is None:
        return [one_word(item.path), "", "interrupted before", "", "", at_source]
    return [
        one_word(item.path),
        size_text(item.here.size_bytes),
        item.here.owner,
        span_text(checked_at - item.here.mtime_ns / 1e9),
        item.here.sha256[:16],
        at_source,
    ]


def _choose_source(ctx: Context, plan: RemovalPlan, source: str) -> str:
    """Whether to remove the copies at the sync's source; --yes alone does not decide this."""
    from opstasks.core.errors import Refused

    if not plan.at_source or source:
        return source or "keep"
    ctx.console.note(
        f"The Level 3 sync's source still has {len(plan.at_source)} of them:"
        " if kept, they return with its next run."
    )
    if ctx.options.yes:
        raise Refused(
            "the files at the sync's source: remove them, or keep them?",
            hint="--source remove, or --source keep",
        )
    return ctx.choose("Remove them there as well?", ["remove", "keep"])


def _confirm(ctx: Context, plan: RemovalPlan) -> None:

    count, name = len(plan.items), plan.workspace
    ctx.confirm_name(
        f"{count} file(s) will be removed for good from {one_word(name)}."
        " Type the workspace's name to continue:",
        name,
    )


def _show_steps(ctx: Context, done: FleetResult[RemovalResult]) -> None:
    from opstasks.outputs import removals

    hosts = {host.name: host for host in ctx.fleet.hosts}
    for name, result in done.values.items():
        kept = [record for record in result.records if record.source == "kept"]
        if kept:
            ctx.console.note(f"{name}: {len(kept)} file(s) stay at the sync's source and return")
        _show_gone(ctx, result.gone)
        for line in removals.partner_steps(hosts[name].spec, [*result.records, *result.gone]):
            ctx.console.say(line)


@task(changes=False, help={"all": "Also the finished and attested ones."})
def pending(ctx: Context, all: bool = False) -> None:
    """List unfinished removals: interrupted, or waiting for the partner's steps.

    Example: inv -H all outputs.pending
    """
    from opstasks.outputs import removals

    result = ctx.reader.table(
        lambda host: [r for r in removals.read(host) if all or r.is_open or r.returned],
        ["id", "workspace", "file", "removed", "by", "waits for"],
        lambda found: map(_record_cells, found),
        nothing="no unfinished removals",
    )
    ctx.seen("removals", result.values, lambda found: [(r.id, r.workspace) for r in found])
    ctx.finish(result)


def _record_cells(record: RemovalRecord) -> list[object]:

    waits = ""
    if record.returned:
        waits = "THE FILE IS BACK: run outputs.rm again"
    elif record.state == "removing":
        waits = "interrupted: run outputs.rm again"
    elif record.is_open:
        waits = record.partner_path
    elif record.attested:
        waits = f"attested by {record.attested.by}"
    return [
        record.id,
        one_word(record.workspace),
        one_word(record.file),
        minute_text(record.removed_at) or record.state,
        record.who,
        waits,
    ]


@task(
    changes=True,
    variadic="id",
    iterable=["id"],
    help={
        "id": Flag(
            "Ids of removals from `outputs.pending`; without the dash part: all its files.",
            required=True,
        ),
        "by": Flag("Who removed them on the partner's side.", value="NAME", default="you"),
        "note": "A note to store with it.",
    },
)
def attest(ctx: Context, id: list[str], by: str = "", note: str = "") -> None:
    """Record who did the partner's steps of a removal; this closes it.

    Example: inv -H tpp outputs.attest 3f9a1c --by "Alex Jones"
    """
    from opstasks.core.errors import Refused
    from opstasks.fleet import audit
    from opstasks.outputs import removals

    if not id:
        raise Refused("no removal given", hint="see them with `outputs.pending`")
    if len(ctx.fleet.hosts) != 1:
        raise Refused("name one host", hint="inv -H tpp outputs.attest ...")
    by = by or audit.who()
    if not (by + note).isprintable():
        raise Refused("--by and --note take one line of text")
    found = ctx.fleet.gather(lambda host: removals.find(removals.read(host), id))
    if found.exit_code:
        ctx.finish(found)
    ((_, chosen),) = found.values.items()
    for record in chosen:
        ctx.console.say(f"{record.id}: {record.partner_path or record.file}")
    if ctx.options.dry:
        ctx.finish(found)
        return
    if any(record.attested is None for record in chosen):
        ctx.confirm(f"{by} removed these on the partner's side?")
    ctx.finish(ctx.fleet.roll(lambda host: removals.attest(host, id, by, note)), _attested_row)


def _attested_row(result: AttestResult) -> dict[str, object]:
    by = {record.attested.by for record in result.records if record.attested}
    return {"changed": result.changed, "attested by": ", ".join(sorted(by))}


namespace = Collection("outputs", ls, rm, pending, attest)
