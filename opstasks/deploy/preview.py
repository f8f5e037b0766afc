"""A plan as lines of text, for people to read before they agree."""

from __future__ import annotations

from collections.abc import Sequence

from opstasks.deploy.facts import CheckoutFacts, DeployFacts
from opstasks.deploy.plan import DeployPlan

SHOWN = 15
UNCONFINED = (
    "this host has no user namespaces: the code was imported without secrets in its environment,"
    " but it could read the service account's files and use the network"
)


def preview(plan: DeployPlan) -> list[str]:
    """The changes of a deploy or a rollback."""
    facts = plan.facts
    lines = [*_checkout_lines("code", facts.code), *_checkout_lines("dependencies", facts.lib)]
    lines += _database_lines(plan)
    if facts.missing_keys:
        lines.append(f"new configuration keys, not set here: {', '.join(facts.missing_keys)}")
    if not facts.is_confined:
        lines.append(UNCONFINED)
    running = facts.database.running
    if facts.database.unknown:
        lines.append("running jobs: unknown; they keep running during the restart")
    else:
        lines.append(f"{len(running)} job(s) running; they keep running during the restart")
    lines += [f"  {job.id}  {job.workspace} {job.action}" for job in running]
    if facts.unit_drop_ins:
        lines.append(f"the unit has drop-ins: {', '.join(facts.unit_drop_ins)}")
    if facts.unit_state == "activating":
        lines.append("the service is between two crashes; it will be started")
    elif facts.unit_state == "failed":
        lines.append("the service has failed; it will be started")
    elif facts.unit_state != "active":
        lines.append(f"the service is {facts.unit_state} and will not be started")
    return lines


def unfinished_lines(facts: DeployFacts) -> list[str]:
    """The lines about an unfinished release, before people choose to finish it or go back."""
    record = facts.unfinished
    if record is None:
        return []
    lines = [f"unfinished release {record.describe()}, at {record.step!r}"]
    for checkout in (facts.code, facts.lib):
        # An interrupted checkout looks like manual edits: people must judge which it is.
        if edited := checkout.dirt.edited:
            count = len(edited)
            lines.append(
                f"{checkout.path}: {count} edited file(s), reset either way, kept as a patch"
            )
            lines += _first("  ", edited)
    return lines


def _database_lines(plan: DeployPlan) -> list[str]:
    facts, undone = plan.facts, plan.restores
    if facts.unknown_migrations:
        return [f"migrations: unknown, {facts.unknown_migrations.splitlines()[0]}"]
    lines = [
        f"migration {item.version}: {' '.join(item.sql.split())[:90]}" for item in facts.migrations
    ]
    if undone and undone.to_version != undone.from_version:
        versions = f"version {undone.to_version} -> {undone.from_version}"
        return [
            *lines,
            f"database: {versions} from the snapshot, rows written since carried over",
        ]
    return lines or [f"no migration (database version {facts.database.user_version})"]


def _checkout_lines(what: str, checkout: CheckoutFacts) -> list[str]:
    if not checkout.moves:
        return [f"{what}: stays at {checkout.head_name}"]
    names = f"{checkout.head_name} -> {checkout.target_name}"
    lines = [f"{what}: {names} ({checkout.direction})"]
    for sign, verb, commits in (("+", "gains", checkout.gained), ("-", "LOSES", checkout.lost)):
        if commits:
            lines.append(f"  {verb} {len(commits)} commit(s)")
            lines += _first(f"  {sign} ", [f"{c.sha} {c.subject[:80]}" for c in commits])
    return lines


def _first(start: str, items: Sequence[str]) -> list[str]:
    """The first few items, a line each, and the number of further ones."""
    lines = [start + item for item in items[:SHOWN]]
    more = len(items) - SHOWN
    return [*lines, f"{start}... and {more} more"] if more > 0 else lines
