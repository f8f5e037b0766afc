"""`manage`: make hosts match their descriptions (playbook: "Updating the infrastructure")."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, task

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.fleet.inventory import HostSpec
    from opstasks.manage.apply import ManageRequest
    from opstasks.manage.model import Description
    from opstasks.manage.steps import ManagePlan


@task(
    changes=True,
    ids=True,
    help={
        "plan": "Only show what would be changed.",
        "diff": "Show every change, and the differences inside files, secrets masked.",
        "check": "Only show, and exit with 1 if anything differs: for cron and CI; -q prints only"
        " the hosts that differ.",
        "only": Flag("Only this area (may be given several times).", value="AREA", default="all"),
        "skip": Flag("Leave this area out (may be given several times).", value="AREA"),
        "upgrade": "Upgrade all packages as well.",
        "allow-lockout": "Continue even if people, perhaps you, would be locked out.",
    },
    iterable=["only", "skip"],
)
def manage(
    ctx: Context,
    only: list[str],
    skip: list[str],
    plan: bool = False,
    diff: bool = False,
    check: bool = False,
    upgrade: bool = False,
    allow_lockout: bool = False,
) -> None:
    """Make hosts match their descriptions in backends/: people, files, service.

    The plan is shown first, with the changes for access in full (people, keys, sudo, sshd). Old
    sudo and sshd files are restored unless a fresh connection works.

    Example: inv -H tpp manage --plan --diff
    """
    from opstasks.manage import apply, describe
    from opstasks.manage.apply import ManageRequest
    from opstasks.manage.steps import AreaSelection

    request = ManageRequest(AreaSelection(tuple(only), tuple(skip)), allow_lockout)
    apply.check_areas(request.selection)
    specs = [host.spec for host in ctx.fleet.hosts]
    wanted = describe.describe_all(specs, upgrade=upgrade)
    if not allow_lockout:
        _check_people(specs, wanted)
    plans = ctx.fleet.gather(lambda host: apply.plan(host, wanted[host.name], request))
    ctx.seen("users", plans.values, lambda found: found.accounts)
    _show(ctx, plans, describe.origins(specs), with_diff=diff)
    plans = _judged(plans)
    if plan or check or ctx.options.dry:
        ctx.fleet.outcomes.is_kept = False  # `manage -H @failed` is about changes
        plans.findings = check and any(shown.differs for shown in plans.values.values())
        _finish(ctx, plans, with_diff=diff)
        return
    _carry_out(ctx, plans, wanted, request, with_diff=diff)


def _check_people(specs: list[HostSpec], wanted: dict[str, Description]) -> None:
    """Raise Refused if a description lists no developer; one message for each folder."""
    from opstasks.manage import lockout
    from opstasks.manage.describe import shown_folder

    folders: dict[str, dict[str, tuple[str, Description]]] = {}
    for spec in specs:
        described = folders.setdefault(shown_folder(spec), {})
        described[spec.name] = (spec.backend, wanted[spec.name])
    for folder in sorted(folders):
        lockout.check_described(folders[folder], folder)


def _carry_out(
    ctx: Context,
    plans: FleetResult[ManagePlan],
    wanted: dict[str, Description],
    request: ManageRequest,
    *,
    with_diff: bool,
) -> None:
    """Ask, then one host after another."""
    from opstasks.manage import apply, screen, show

    documents = _documents(plans, with_diff=with_diff)
    todo = ctx.to_change(plans, lambda shown: bool(shown.todo))
    if not todo:
        ctx.finish(documents)
        return
    shown = plans.values
    ctx.confirm(screen.question({host.name: len(shown[host.name].todo) for host in todo}))
    done = ctx.carry_out(
        plans,
        lambda host, plan: apply.apply(host, wanted[host.name], plan, request),
        todo,
        screen.TOLD,
    )
    for name, outcome in done.values.items():
        ctx.console.say_lines(screen.after_lines(name, outcome))
    ctx.finish(documents.replaced(show.outcomes(plans, done, with_diff=with_diff)))


def _judged(plans: FleetResult[ManagePlan]) -> FleetResult[ManagePlan]:
    """The same plans; one that must not be carried out counts as a refusal."""
    from opstasks.core.errors import Refused
    from opstasks.core.result import FleetResult
    from opstasks.manage.apply import refuse

    def one(item: Any) -> Any:
        try:
            if item.value is not None:
                refuse(item.value, item.host)
        except Refused as error:
            return replace(item, outcome=error.outcome, value=None, error=error)
        return item

    return FleetResult([one(item) for item in plans])


def _documents(plans: FleetResult[ManagePlan], *, with_diff: bool) -> FleetResult[Any]:
    """Plans as --json shows them."""
    from opstasks.manage import show

    return plans.mapped(lambda shown: show.report(shown, with_diff=with_diff))


def _finish(ctx: Context, plans: FleetResult[ManagePlan], *, with_diff: bool) -> None:
    ctx.finish(_documents(plans, with_diff=with_diff))


def _show(
    ctx: Context, plans: FleetResult[ManagePlan], origins: list[str], *, with_diff: bool
) -> None:
    """Show the plans, and where the descriptions are; with -q, only the hosts that differ."""
    from opstasks.manage import screen

    found, console = plans.values, ctx.console
    console.ids(host for host, shown in found.items() if shown.differs)
    if not console.is_quiet:
        for origin in origins:
            console.note(origin)
    lines = screen.plan_lines(found, console.window, wide=console.wide, with_diff=with_diff)
    console.say_lines(lines)
    for host, shown in found.items():
        for note in shown.notes:
            console.note(f"{host}: {note}")
