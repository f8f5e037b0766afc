"""The plans of all hosts as lines, for people to read before they agree: pure.

Hosts with the same plan are shown together. A commit that would be lost is red and comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opstasks.core.formats import first_names, plural
from opstasks.deploy.facts import CheckoutFacts, Commit, DeployFacts
from opstasks.deploy.migration_words import in_words
from opstasks.deploy.plan import DeployPlan
from opstasks.deploy.words import count_text, service_cell
from opstasks.onhost.limits import MOST_COMMITS
from opstasks.output.parts import Line, Part, bad, bold, odd, to_type
from opstasks.output.states import or_unknown
from opstasks.output.table import Column, draw

# So many commits are shown, and so many that would be lost.
SHOWN, SHOWN_LOST = 3, 15
# So many hosts are named in a headline.
NAMED = 3
UNCONFINED = (
    "this host has no user namespaces: the code was imported without secrets in its environment,"
    " but it could read the service account's files and use the network"
)
# Stop, checkout, migration and start of a small database; and how fast a database is copied.
DOWNTIME_S, RESTART_S, COPY_BYTES_S = 5.0, 2.0, 100e6
COLUMNS = (
    Column("HOST"),
    Column("SERVICE"),
    Column("JOBS", is_right=True),
    Column("DOWNTIME"),
    Column("AFTERWARDS", long="wrap"),
)
# Where hosts have different plans: the release that each one leaves.
FROM = Column("FROM", rank=1)


@dataclass(frozen=True)
class PlanGroup:
    """Hosts for which the same is planned."""

    hosts: tuple[str, ...]
    plan: DeployPlan


def grouped(plans: Mapping[str, DeployPlan]) -> list[PlanGroup]:
    """Hosts in groups with the same plan; those that would lose commits come first."""
    found: dict[object, list[str]] = {}
    for host, plan in plans.items():
        found.setdefault(_key(plan), []).append(host)
    groups = [PlanGroup(tuple(hosts), plans[hosts[0]]) for hosts in found.values()]
    return sorted(groups, key=lambda group: not _lost(group.plan))


def _key(plan: DeployPlan) -> object:
    facts, undone = plan.facts, plan.restores
    checkouts = tuple(
        (c.head, c.head_name, c.target, c.target_name, c.gained, c.lost)
        for c in (facts.code, facts.lib)
    )
    versions = (undone.from_version, undone.to_version) if undone else ()
    version = facts.database.user_version
    return (checkouts, version, facts.migrations, facts.unknown_migrations, versions)


def lines(
    plans: Mapping[str, DeployPlan],
    width: int,
    *,
    undo: str = "",
    all_commits: bool = False,
    wide: bool = False,
) -> list[Line]:
    """What is planned for hosts with something to do, for a window of a width.

    `undo` is the command that undoes it, "" if nothing can; `wide`: no column is left out.
    """
    groups = grouped(plans)
    found: list[Line] = []
    for group in groups:
        found += _group_lines(group, len(groups) == 1, all_commits=all_commits)
    columns = COLUMNS if len(groups) == 1 else (*COLUMNS, FROM)
    rows = [_row(host, plan)[: len(columns)] for host, plan in plans.items()]
    found += draw(columns, rows, width, wide=wide).with_hint()
    return [*found, *_closing(plans, undo)]


# -- what changes ----------------------------------------------------------------------------


def _group_lines(group: PlanGroup, is_only: bool, *, all_commits: bool) -> Iterator[Line]:
    facts = group.plan.facts
    yield _headline(group, is_only)
    if group.plan.restores:
        yield from _commit_lines("-", facts.code.lost, SHOWN, all_commits=all_commits)
    else:
        for checkout in (facts.code, facts.lib):
            yield from _lost_lines(checkout, all_commits=all_commits)
    yield from _commit_lines("+", facts.code.gained, SHOWN, all_commits=all_commits)
    if facts.lib.moves:
        names = f"{facts.lib.head_name} -> {facts.lib.target_name}"
        gained = f"  {_commits(facts.lib.gained)}" if facts.lib.gained else ""
        yield [f"  dependencies  {names}{gained}"]
    yield from _database_lines(group.plan)
    if facts.missing_keys:
        where = "here" if len(group.hosts) == 1 else "on the hosts"
        yield [f"  not set {where}  ", odd(", ".join(facts.missing_keys))]


def _headline(group: PlanGroup, is_only: bool) -> Line:
    """``2 hosts: v2.71.0 -> v2.73.0   5 commits, 2 migrations``."""
    plan, count = group.plan, len(group.hosts)
    code = plan.facts.code
    who = plural(count, "host") if is_only and count > 1 else first_names(group.hosts, NAMED)
    back = f" go{'es' if count == 1 else ''} back" if plan.restores else ""
    if code.moves:
        move = f"{code.head_name} -> {code.target_name}"
    else:
        move = f"stay{'s' if count == 1 else ''} at {code.head_name}"
        if not plan.moves:
            return [bold(f"{who} {move}"), ", only the service is restarted"]
        return [bold(f"{who} {move}"), "   ", *_effects(plan)]
    return [bold(f"{who}{back}: {move}"), "   ", *_effects(plan)]


def _effects(plan: DeployPlan) -> Iterator[Part]:
    """``5 commits, 2 migrations``; what is lost first."""
    code, lib = plan.facts.code, plan.facts.lib
    if lost := _lost(plan):
        yield bad(f"LOSES {_commits(lost)}")
        yield ", "
    if plan.restores and code.lost:
        yield f"takes back {_commits(code.lost)}, "
    if code.gained:
        yield f"{_commits(code.gained)}, "
    if lib.moves and not code.moves:
        yield "other dependencies, "
    yield _migrations(plan)


def _lost(plan: DeployPlan) -> Sequence[Commit]:
    """The commits that a deploy would lose; a rollback loses those of the release, as is wanted."""
    return () if plan.restores else plan.facts.code.lost + plan.facts.lib.lost


def _migrations(plan: DeployPlan) -> Part:
    facts, undone = plan.facts, plan.restores
    if facts.unknown_migrations:
        return odd("migrations unknown")
    if undone and plan.migrates_back:
        return f"{plural(undone.to_version - undone.from_version, 'migration')} undone"
    return plural(len(facts.migrations), "migration") if facts.migrations else "no migration"


def _lost_lines(checkout: CheckoutFacts, *, all_commits: bool) -> Iterator[Line]:
    if checkout.lost:
        yield [bad(f"  LOST: {checkout.target_name} does not have these commits of the host")]
        for line in _commit_lines("-", checkout.lost, SHOWN_LOST, all_commits=all_commits):
            yield [bad("".join(map(str, line)))]


def _commit_lines(
    sign: str, commits: Sequence[Commit], shown: int, *, all_commits: bool
) -> Iterator[Line]:
    """The first commits, and how many more there are: never one instead of the last."""
    most = len(commits) if all_commits or len(commits) == shown + 1 else shown
    for commit in commits[:most]:
        yield [f"  {sign} {commit.sha} {commit.subject}"]
    if (more := len(commits) - most) > 0:
        at_least = "at least " if len(commits) >= MOST_COMMITS else ""
        yield [f"  {sign} {at_least}{more} more (--all-commits)"]


def _commits(commits: Sequence[Commit]) -> str:
    return count_text(len(commits), "commit", MOST_COMMITS)


def _database_lines(plan: DeployPlan) -> Iterator[Line]:
    facts, undone = plan.facts, plan.restores
    version = facts.database.user_version
    if facts.unknown_migrations:
        why = facts.unknown_migrations.split("\n")[0]
        yield ["  database  ", odd(f"migrations unknown: {why}")]
    elif undone and plan.migrates_back:
        yield [
            f"  database {version} -> {undone.from_version}  the snapshot from before the"
            " release, with the rows written since"
        ]
    elif facts.migrations:
        yield [f"  database {version} -> {facts.migrations[-1].version}  ", *_in_words(facts)]


def _in_words(facts: DeployFacts) -> list[Part]:
    """What the migrations do; yellow where data may go."""
    found: list[Part] = []
    for change in in_words(facts.migrations):
        found += ["; "] if found else []
        found.append(odd(change.text) if change.is_loss else change.text)
    return found


# -- the hosts -------------------------------------------------------------------------------


def _row(host: str, plan: DeployPlan) -> Sequence[object]:
    facts = plan.facts
    jobs = or_unknown(facts.running_jobs)
    service = service_cell(facts.service, facts.service_for_s)
    start = facts.code.head_name
    return [host, service, jobs, downtime_text(plan), _afterwards(plan), start]


def downtime_text(plan: DeployPlan) -> str:
    """For how long the service will be down: an estimate from the size of the database."""
    if not plan.facts.will_serve and plan.moves:
        return "-"
    seconds = RESTART_S
    if plan.moves:
        copies = 2 if plan.migrates_back else 1
        seconds = DOWNTIME_S + copies * plan.facts.database.size_bytes / COPY_BYTES_S
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"


def _afterwards(plan: DeployPlan) -> Part:
    if plan.moves and not plan.facts.will_serve:
        return odd("stays stopped, not watched")
    start = "" if plan.facts.service == "up" else "started, "
    return f"{start}watched for {plan.watch_s:g} s"


def _closing(plans: Mapping[str, DeployPlan], undo: str) -> Iterator[Line]:
    for host, plan in plans.items():
        if plan.facts.unit_drop_ins:
            yield [f"{host}  the unit has drop-ins: {', '.join(plan.facts.unit_drop_ins)}"]
        if not plan.facts.is_confined:
            yield [f"{host}  ", odd(UNCONFINED)]
    counts = [plan.facts.running_jobs for plan in plans.values()]
    jobs = "Jobs go on." if any(count != 0 for count in counts) else "No job is running."
    undone: list[Part] = [" Undo: ", to_type(undo)] if undo else []
    yield [jobs, *undone]


# -- hosts with nothing to do ----------------------------------------------------------------


def idle_lines(plans: Mapping[str, DeployPlan]) -> list[Line]:
    """Hosts where nothing is done; one whose service does not run is named, with what to type."""
    places: dict[str, list[str]] = {}
    for host, plan in plans.items():
        places.setdefault(plan.facts.code.head_name, []).append(host)
    found: list[Line] = [
        [bold("nothing to do"), f" on {', '.join(hosts)}: at {name} already"]
        for name, hosts in places.items()
    ]
    for host, plan in plans.items():
        if plan.facts.service != "up":
            found += _not_serving(host, plan.facts)
    return found


def _not_serving(host: str, facts: DeployFacts) -> list[Line]:
    state = service_cell(facts.service, facts.service_for_s)
    label, task = ("start", "service.start") if facts.service == "stopped" else ("look", "logs")
    command = to_type(f"inv -H {host} {task}")
    return [[f"{host}  the service is ", state, f"   {label}: ", command]]
