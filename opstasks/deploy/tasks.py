"""`deploy`: deploy and roll back job-runner releases (playbook: "Deploy job-runner")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import NOT_FOR_SCREENS, Flag, task

if TYPE_CHECKING:
    from opstasks.deploy.plan import DeployPlan
    from opstasks.fleet.host import Host

OF_INVENTORY = "main, or as in hosts.yaml"
REF_HELP = Flag("The branch, tag or commit of job-runner.", default=OF_INVENTORY)
LIB_HELP = Flag("The branch, tag or commit of the dependencies.", default=OF_INVENTORY)
WATCH_HELP = Flag(
    "How long to watch the service after its start.",
    value="DURATION",
    default="15s, or as in hosts.yaml",
    least=1,
)
COMMITS_HELP = Flag("Show every commit, not only the first ones.", excludes=NOT_FOR_SCREENS)


@task(
    changes=True,
    name="apply",
    help={
        "ref": REF_HELP,
        "lib-ref": LIB_HELP,
        "restart": "Restart the service even if there is nothing to deploy.",
        "watch": WATCH_HELP,
        "unfinished": Flag("What to do with an unfinished release.", value="finish|back"),
        "all-commits": COMMITS_HELP,
    },
)
def apply(
    ctx: Context,
    ref: str = "",
    lib_ref: str = "",
    restart: bool = False,
    watch: int = 0,
    unfinished: str = "",
    all_commits: bool = False,
) -> None:
    """Deploy job-runner: preview, confirm, snapshot, switch, watch; goes back on failure.

    Example: inv -H tpp deploy --ref v2.73.0
    """
    from opstasks.deploy import flow

    _check_refs(ref, lib_ref)
    found = ctx.fleet.gather(lambda host: _plan(host, ref, lib_ref, restart, watch))
    plans = flow.judge(ctx, found)
    if any(plan.facts.unfinished for plan in plans.values.values()):
        names = " ".join(filter(None, (ref, lib_ref)))
        flow.continue_unfinished(ctx, plans, unfinished, not_deployed=names)
        return
    if unfinished:
        flow.nothing_unfinished(ctx, plans)
        return
    flow.roll(ctx, plans, flow.DEPLOY, all_commits=all_commits)


@task(changes=False, help={"ref": REF_HELP, "lib-ref": LIB_HELP})
def pending(ctx: Context, ref: str = "", lib_ref: str = "") -> None:
    """Show what a deploy would change on each host, as one table.

    Example: inv -H all deploy.pending
    """
    from opstasks.deploy import flow, overview
    from opstasks.deploy.document import DeployPreview, document

    def read(host: Host) -> DeployPreview:
        plan = _plan(host, ref, lib_ref, preview=True)
        if ref or lib_ref:
            _refuse_unknown(plan)
        return document(plan)

    _check_refs(ref, lib_ref)
    result = ctx.reader.screen(read, overview.pending(ctx.hosts_text, _retyped(ref, lib_ref)))
    flow.keep_refs(ctx, result)
    ctx.finish(result)


@task(changes=True, help={"watch": WATCH_HELP, "all-commits": COMMITS_HELP})
def rollback(ctx: Context, watch: int = 0, all_commits: bool = False) -> None:
    """Go back to the previous release, with its dependencies and database schema.

    Newer database rows are carried over.

    Example: inv -H tpp deploy.rollback
    """
    from opstasks.deploy import flow, rollback

    def plan(host: Host) -> DeployPlan:
        found = rollback.inspect(host)
        return rollback.make_plan(found, watch_s=watch or host.spec.deploy.watch_s)

    plans = flow.judge(ctx, ctx.fleet.gather(plan))
    flow.roll(ctx, plans, flow.ROLLBACK, all_commits=all_commits)


@task(
    changes=False,
    ids=True,
    help={"limit": Flag("How many releases to show for each host; 0: all.", value="N")},
)
def releases(ctx: Context, limit: int = 10) -> None:
    """List deployed releases, newest first: when, by whom, from, to, and how it ended.

    Example: inv -H all deploy.releases
    """
    from opstasks.deploy import overview, release
    from opstasks.deploy.document import release_of

    most = limit or release.ALL_RELEASES
    screen = overview.releases(lambda: ctx.table_clock)
    result = ctx.reader.screen(lambda host: release.list_releases(host.service, most), screen)
    ctx.seen(
        "refs", result.values, lambda found: [n for r in found for n in (r.to_name, r.from_name)]
    )
    ctx.finish(result.mapped(lambda found: list(map(release_of, found))))


def _plan(
    host: Host,
    ref: str,
    lib_ref: str,
    restart: bool = False,
    watch_s: float = 0.0,
    *,
    preview: bool = False,
) -> DeployPlan:
    """Inspect a host and plan its deploy to the given refs (default: the inventory's)."""
    from opstasks.deploy.facts import inspect
    from opstasks.deploy.plan import make_plan

    wanted = host.spec.deploy
    refs = (ref or wanted.code.ref, lib_ref or wanted.lib.ref)
    facts = inspect(host, *refs, preview=preview)
    return make_plan(facts, restart=restart, watch_s=watch_s or wanted.watch_s)


def _retyped(ref: str, lib_ref: str) -> str:
    """The task that deploys what was typed: ``deploy --ref v2.73.0``."""
    from opstasks.core.hints import one_word

    flags = (("--ref", ref), ("--lib-ref", lib_ref))
    return " ".join(["deploy", *(f"{flag} {one_word(name)}" for flag, name in flags if name)])


def _check_refs(ref: str, lib_ref: str) -> None:
    """Raise Refused for a flag whose value cannot be a ref, before any host is asked."""
    from opstasks.core.errors import Refused
    from opstasks.primitives import git

    for flag, name in (("--ref", ref), ("--lib-ref", lib_ref)):
        try:
            git.valid_ref(name or "main")
        except Refused as error:
            raise Refused(f"{flag}: {error.message}", hint=error.hint) from None


def _refuse_unknown(plan: DeployPlan) -> None:
    """Raise Refused if the origin does not have a ref: a person typed it."""
    from opstasks.core.errors import Refused
    from opstasks.deploy.problems import fault_hint

    for found in (plan.facts.code, plan.facts.lib):
        if found.fault == "name":
            hint = fault_hint(plan.facts.host, found.path, found.fault, plan.facts.service_user)
            raise Refused(f"{found.path}: {found.error}", hint=hint)


namespace = Collection("deploy")
namespace.add_task(apply, default=True)
namespace.add_task(pending)
namespace.add_task(rollback)
namespace.add_task(releases)
