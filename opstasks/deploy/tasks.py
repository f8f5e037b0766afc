"""`deploy`: deploy and roll back job-runner releases (playbook: "Deploy job-runner")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection, task

from opstasks.cli.app import Context

if TYPE_CHECKING:
    from opstasks.deploy.plan import DeployPlan
    from opstasks.fleet.host import Host

REF_HELP = "The branch, tag or commit of job-runner (default: the inventory's)."
LIB_HELP = "The branch, tag or commit of the dependencies (default: the inventory's)."
WATCH_HELP = "How long to watch the started service: 90, 90s, 2m (default: the inventory's, 15s)."
COMMITS_HELP = "Show every commit, not only the first ones."


@task(
    name="apply",
    help={
        "ref": REF_HELP,
        "lib-ref": LIB_HELP,
        "restart": "Restart the service even if there is nothing to deploy.",
        "watch": WATCH_HELP,
        "unfinished": "What to do with an unfinished release: 'finish' or 'back' (default: ask).",
        "all-commits": COMMITS_HELP,
    },
    auto_shortflags=False,
)
def apply(
    ctx: Context,
    ref: str = "",
    lib_ref: str = "",
    restart: bool = False,
    watch: str = "",
    unfinished: str = "",
    all_commits: bool = False,
) -> None:
    """Deploy job-runner: preview, confirm, snapshot, switch, watch; goes back on failure.

    Example: inv -H tpp deploy --ref v2.73.0
    """
    from opstasks.core.errors import Refused
    from opstasks.deploy import flow

    if unfinished not in ("", "finish", "back"):
        raise Refused(f"--unfinished must be 'finish' or 'back', not {unfinished!r}")
    watch_s = _watch_s(watch)
    found = ctx.fleet.gather(lambda host: _plan(host, ref, lib_ref, restart, watch_s))
    plans = flow.judge(ctx, found)
    if any(plan.facts.unfinished for plan in plans.values.values()):
        names = " ".join(filter(None, (ref, lib_ref)))
        flow.continue_unfinished(ctx, plans, unfinished, not_deployed=names)
        return
    if unfinished:
        flow.nothing_unfinished(ctx, plans)
        return
    flow.roll(ctx, plans, flow.DEPLOY, all_commits=all_commits)


@task(help={"ref": REF_HELP, "lib-ref": LIB_HELP}, auto_shortflags=False)
def pending(ctx: Context, ref: str = "", lib_ref: str = "") -> None:
    """Show what a deploy would change on each host, as one table.

    Example: inv -H all deploy.pending
    """
    from opstasks.deploy import overview
    from opstasks.deploy.document import DeployPreview, document

    def read(host: Host) -> DeployPreview:
        return document(_plan(host, ref, lib_ref, preview=True))

    ctx.finish(ctx.reader.screen(read, overview.pending(ctx.hosts_text)))


@task(help={"watch": WATCH_HELP, "all-commits": COMMITS_HELP}, auto_shortflags=False)
def rollback(ctx: Context, watch: str = "", all_commits: bool = False) -> None:
    """Go back to the previous release, with its dependencies and database schema.

    Newer database rows are carried over.

    Example: inv -H tpp deploy.rollback
    """
    from opstasks.deploy import flow, rollback

    watch_s = _watch_s(watch)

    def plan(host: Host) -> DeployPlan:
        found = rollback.inspect(host)
        return rollback.make_plan(found, watch_s=watch_s or host.spec.deploy.watch_s)

    plans = flow.judge(ctx, ctx.fleet.gather(plan))
    flow.roll(ctx, plans, flow.ROLLBACK, all_commits=all_commits)


@task(
    help={"limit": "How many releases to show for each host; 0 for all (default: 10)."},
    auto_shortflags=False,
)
def releases(ctx: Context, limit: int = 10) -> None:
    """List deployed releases, newest first: when, by whom, from, to, and how it ended.

    Example: inv -H all deploy.releases
    """
    from opstasks.core.errors import Refused
    from opstasks.deploy import overview, release

    if limit < 0:
        raise Refused(f"--limit must be 0 or greater, not {limit}", hint="--limit 10; 0 for all")
    most = limit or release.ALL_RELEASES
    screen = overview.releases(lambda: ctx.clock)
    ctx.finish(ctx.reader.screen(lambda host: release.list_releases(host.service, most), screen))


def _watch_s(watch: str) -> float:
    """How long to watch, in seconds; 0, for the inventory's value, without the flag."""
    from opstasks.core import durations
    from opstasks.core.errors import Refused

    if not watch:
        return 0.0
    try:
        return durations.parse(watch)
    except Refused as refused:
        raise Refused(f"--watch: {refused.message}", hint="--watch 15s, or leave it out") from None


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


namespace = Collection("deploy")
namespace.add_task(apply, default=True)
namespace.add_task(pending)
namespace.add_task(rollback)
namespace.add_task(releases)
