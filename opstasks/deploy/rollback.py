"""Roll back to the previous release: find the release to undo, and make the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opstasks.core.errors import Refused
from opstasks.deploy import facts, plan, release
from opstasks.deploy.facts import DeployFacts
from opstasks.deploy.plan import DeployPlan
from opstasks.deploy.release import Release
from opstasks.fleet.host import Host


@dataclass(frozen=True)
class RollbackFacts:
    """The release to undo, and the facts for the plan of its rollback."""

    undone: Release
    facts: DeployFacts


def inspect(host: Host) -> RollbackFacts:
    """Inspect a host in two round trips; raises Refused when it has no release to go back to."""
    releases = release.list_releases(host.service)
    hint = f"inv -H {host.name} deploy --unfinished back"
    release.refuse_blocking(host.spec, releases, hint)
    last = undoable(releases)
    if last is None:
        raise Refused(
            "there is no release to go back to",
            host=host.name,
            hint=f"inv -H {host.name} deploy.releases",
        )
    snapshot = last.snapshot if last.to_version != last.from_version else ""
    found = facts.inspect(host, last.from_code, last.from_lib, fetches=False, snapshot=snapshot)
    for checkout, left_at in ((found.code, last.to_code), (found.lib, last.to_lib)):
        # Where git cannot read it, the plan says why.
        if checkout.head not in ("", left_at):
            raise Refused(
                f"{checkout.path} is at {checkout.head_name}, not where {last.id} left it",
                host=host.name,
                hint="deploy the wanted commits with `deploy --ref` and `--lib-ref`",
            )
    return RollbackFacts(last, found)


def make_plan(found: RollbackFacts, *, watch_s: float = 0.0) -> DeployPlan:
    """The plan of a rollback, for `opstasks.deploy.apply.apply`."""
    return plan.make_plan(found.facts, restores=found.undone, watch_s=watch_s)


def undoable(releases: Sequence[Release]) -> Release | None:
    """The release that a rollback undoes: the newest one in force that was not undone.

    `releases` are newest first.
    """
    undone = 0
    for item in releases:
        if item.outcome != "deployed":
            continue
        if item.kind == "rollback":
            undone += 1
        elif undone:
            undone -= 1
        else:
            return item
    return None
