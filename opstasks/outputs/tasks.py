"""`outputs`: Level 4 files, and removing them (playbook: "Removing a Level 4 file")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, task
from opstasks.core.hints import one_word

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.outputs.act import RemovalResult
    from opstasks.outputs.plan import RemovalPlan


@task(
    changes=False,
    ids=True,
    variadic="workspace",
    iterable=["workspace"],
    help={"workspace": "Only these workspaces; without one, the sizes of all."},
)
def ls(ctx: Context, workspace: list[str]) -> None:
    """List a workspace's medium-privacy (Level 4) files: size, age, owner.

    A name is shown as a shell reads it, so it can be copied into the next command. -q prints only
    the names, --json the names as they are. Ends with 1 if something could not be read.

    Example: inv -H tpp outputs.ls my-study
    """
    from opstasks.outputs import listing, screen

    hosts = ctx.fleet.hosts
    if workspace:
        shown = screen.files_screen(workspace, len(hosts))
    else:
        shown = screen.workspaces_screen(hosts[0].spec.workspaces_dir, len(hosts))
    result = ctx.reader.screen(lambda host: listing.listings(host, workspace), shown)
    ctx.seen("workspaces", result.values, lambda found: [one.name for one in found])
    result.findings = any(not one.is_complete for found in result.values.values() for one in found)
    ctx.finish(result)


@task(
    changes=True,
    variadic="file",
    iterable=["file"],
    help={
        "workspace": "The workspace.",
        "file": Flag("Paths of files inside the workspace, taken literally.", required=True),
        "source": Flag(
            "The copy that the Level 3 sync would bring back.", value="remove|keep", default="asks"
        ),
        "reason": "Why; stored with the record.",
    },
)
def rm(ctx: Context, workspace: str, file: list[str], source: str = "", reason: str = "") -> None:
    """Remove Level 4 files for good, after you typed the workspace's name.

    Example: inv -H tpp outputs.rm my-study output/table1.csv
    """
    from opstasks.core.errors import Refused
    from opstasks.core.formats import plural
    from opstasks.output.summary import Told
    from opstasks.outputs import act, removal_screen, reports

    why = ctx.one_line(reason, "reason")
    if not file:
        hint = ctx.command_text(f"outputs.ls {one_word(workspace)}")
        raise Refused("outputs.rm: FILE is missing", hint=hint)
    words = " ".join(["outputs.rm", *map(one_word, [workspace, *file])])
    _need_one_host(ctx, "files are removed on one host at a time", words)
    plans = ctx.fleet.gather(lambda host: act.preview(host, workspace, file))
    if plans.exit_code:
        ctx.finish(plans)
    (plan,) = plans.values.values()
    host = ctx.fleet.hosts[0].spec
    _show_plan(ctx, plan)
    planned = plans.mapped(reports.planned)
    if ctx.options.dry or not plan.items:
        ctx.console.say_lines(removal_screen.partner_lines(host, plan.gone))
        ctx.finish(planned)
        return
    source = _choose_source(ctx, plan, source)
    name = plan.workspace
    ctx.confirm_name(removal_screen.rm_question(plan, host.name, source), name)
    told: Told[RemovalResult] = Told(
        host=lambda done: f"{plural(len(done.records), 'file')} removed from {one_word(name)}",
        whole=lambda count: f"{one_word(name)}: files removed for good",
    )
    done = ctx.roll(lambda host: act.apply(host, plan, source=source, reason=why), told=told)
    ctx.seen("removals", done.values, lambda found: [(r.id, r.workspace) for r in found.records])
    _show_steps(ctx, done)
    ctx.finish(done.mapped(lambda result: reports.removed(plan, result)))


def _need_one_host(ctx: Context, why: str, words: str) -> None:
    """Raise Refused unless one host is selected; `words` are the command for one of them."""
    from opstasks.core.errors import Refused

    hosts = ctx.fleet.hosts
    if len(hosts) != 1:
        name = hosts[0].name
        raise Refused(f"-H selects {len(hosts)} hosts, but {why}", hint=f"inv -H {name} {words}")


def _show_plan(ctx: Context, plan: RemovalPlan) -> None:
    from opstasks.outputs import removal_screen

    spec = ctx.fleet.hosts[0].spec
    ctx.console.say(*removal_screen.rm_headline(plan, spec))
    rows = removal_screen.item_rows(plan, wide=ctx.options.wide)
    ctx.console.table(removal_screen.FILES, rows)
    ctx.console.say_lines(removal_screen.rm_notes(plan, spec, ctx.clock))


def _choose_source(ctx: Context, plan: RemovalPlan, source: str) -> str:
    """Whether to remove the copies at the sync's source; --yes alone does not decide this."""
    from opstasks.core.errors import Refused
    from opstasks.outputs.act import SOURCE_CHOICES

    if not plan.at_source or source:
        return source or "keep"
    if ctx.options.yes:
        raise Refused(
            "--source is missing: remove or keep the files at the sync's source?",
            hint="add --source remove, or --source keep",
        )
    return ctx.choose("Remove them at the sync's source as well?", SOURCE_CHOICES)


def _show_steps(ctx: Context, done: FleetResult[RemovalResult]) -> None:
    from opstasks.core.formats import plural
    from opstasks.output.parts import odd
    from opstasks.outputs import removal_screen

    spec = ctx.fleet.hosts[0].spec
    for result in done.values.values():
        kept = sum(record.source == "kept" for record in result.records)
        if kept:
            again = f"{plural(kept, 'file')} kept at the sync's source will return here"
            ctx.console.say(odd(again))
        ctx.console.say_lines(removal_screen.gone_lines(result.gone, ctx.clock))
        records = [*result.records, *result.gone]
        ctx.console.say_lines(removal_screen.partner_lines(spec, records))


@task(changes=False, ids=True, help={"all": "Also the finished and attested ones."})
def pending(ctx: Context, all: bool = False) -> None:
    """List unfinished removals, newest first: what each one waits for.

    Ends with 1 if a record could not be read: it may be of an unfinished removal.

    Example: inv -H all outputs.pending
    """
    from opstasks.outputs import removal_screen, removals, reports

    specs = {host.name: host.spec for host in ctx.fleet.hosts}
    result = ctx.reader.screen(
        lambda host: [r for r in removals.read(host) if all or r.is_open or r.returned],
        removal_screen.pending_screen(specs, lambda: ctx.table_clock, all=all),
    )
    ctx.seen(
        "removals",
        result.values,
        lambda found: [(r.id, r.workspace) for r in found if r.is_readable],
    )
    shown = result.mapped(reports.reports)
    shown.findings = any(not r.is_readable for found in result.values.values() for r in found)
    ctx.finish(shown)


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
    from opstasks.core.formats import plural
    from opstasks.fleet import audit
    from opstasks.output.summary import Told
    from opstasks.outputs import removal_screen, removals, reports

    if not id:
        raise Refused("outputs.attest: ID is missing", hint=ctx.command_text("outputs.pending"))
    words = " ".join(["outputs.attest", *map(one_word, id)])
    _need_one_host(ctx, "a removal belongs to one host", words)
    by, note = ctx.one_line(by, "by") or audit.who(), ctx.one_line(note, "note")
    found = ctx.fleet.gather(lambda host: removals.find(host.name, removals.read(host), id))
    if found.exit_code:
        ctx.finish(found)
    ((name, chosen),) = found.values.items()
    ctx.console.say_lines(removal_screen.attest_lines(name, chosen, by))
    todo = [record for record in chosen if record.attested is None]
    if ctx.options.dry or not todo:
        ctx.finish(
            found.mapped(lambda records: reports.AttestOutcome(False, reports.reports(records)))
        )
        return
    ctx.confirm(f"Did {by} delete {'it' if len(todo) == 1 else 'them'} on the partner's side?")
    told: Told[removals.AttestResult] = Told(
        host=lambda done: f"{plural(len(done.records), 'removal')} attested by {by}",
        whole=lambda count: f"{plural(len(todo), 'removal')} closed",
    )
    done = ctx.roll(lambda host: removals.attest(host, id, by, note), told=told)
    ctx.finish(done.mapped(reports.attested))


namespace = Collection("outputs", ls, rm, pending, attest)
