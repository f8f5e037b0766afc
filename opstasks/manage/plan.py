"""The steps from a host's state to its description: pure, so the shown plan is what is done."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from opstasks.manage.actions import ProveAccess
from opstasks.manage.facts import ManageFacts, PathFacts
from opstasks.manage.model import Description
from opstasks.manage.plan_accounts import account_steps, taken_names
from opstasks.manage.plan_effect import with_effect
from opstasks.manage.plan_files import file_steps
from opstasks.manage.plan_service import package_steps, service_steps
from opstasks.manage.steps import ALL_AREAS, AreaSelection, ManagePlan, ManageStep

# Old names of owners and groups, and their names once accounts have their ids.
Names = dict[str, str]


def make_plan(
    facts: ManageFacts, wanted: Description, selection: AreaSelection = ALL_AREAS
) -> ManagePlan:
    """The steps that make the host match its description, in the selected areas."""
    facts = renumbered(facts, wanted) if selection.has("accounts") else facts
    every = with_effect(_steps(facts, wanted), facts, wanted)
    steps = [step for step in every if selection.has(step.area)]
    # Login files come last, when everything else is done and verified.
    late = [step for step in steps if step.access]
    refusals = (
        *_wrong_host(facts, wanted),
        *taken_names(facts, wanted),
        *_refused_contents(facts, steps),
    )
    refusals += tuple(step.refusal for step in steps if step.refusal)
    notes = wanted.notes if selection.has("accounts") else ()
    soon = [step for step in steps if not step.access]
    return ManagePlan((*soon, *late), refusals, notes)


def _wrong_host(facts: ManageFacts, wanted: Description) -> Iterator[str]:
    """Why the description is not for this host: the host lacks the required path."""
    needed = wanted.options.requires
    if needed and facts.paths.get(needed) is None:
        yield f"its description is only for hosts with {needed}, which this one does not have"


def _refused_contents(facts: ManageFacts, steps: list[ManageStep]) -> Iterator[str]:
    """What the host's own checks say about new contents."""
    for path, reason in facts.refusals.items():
        if any(step.thing == path for step in steps):
            yield reason if path in reason else f"{path}: {reason}"


def _steps(facts: ManageFacts, wanted: Description) -> Iterator[ManageStep]:
    yield from package_steps(facts, wanted)
    yield from account_steps(facts, wanted)
    yield from file_steps(facts, wanted)
    yield from service_steps(facts, wanted)
    if facts.is_unproven:
        yield ManageStep(
            "access",
            "a change of the login files",
            "not tested with a fresh connection",
            "proven",
            ProveAccess(),
            why="an earlier run was interrupted",
            access=True,
        )


def renumbered(facts: ManageFacts, wanted: Description) -> ManageFacts:
    """The facts as they will be once accounts have their ids.

    Files of a group's old id then show only that number; files of its new id show the group's
    name.
    """
    groups, owners = _new_names_of_groups(facts, wanted), _new_names_of_owners(facts, wanted)
    if not groups and not owners:
        return facts
    paths = {path: entry and _renamed(entry, owners, groups) for path, entry in facts.paths.items()}
    return msgspec.structs.replace(facts, paths=paths)


def _renamed(entry: PathFacts, owners: Names, groups: Names) -> PathFacts:
    return msgspec.structs.replace(
        entry,
        owner=owners.get(entry.owner, entry.owner),
        group=groups.get(entry.group, entry.group),
    )


def _new_names_of_groups(facts: ManageFacts, wanted: Description) -> Names:
    names: Names = {}
    for group in wanted.groups:
        now = facts.groups.get(group.name)
        if now is not None and group.gid and now.gid != group.gid:
            names |= {group.name: str(now.gid), str(group.gid): group.name}
    return names


def _new_names_of_owners(facts: ManageFacts, wanted: Description) -> Names:
    names: Names = {}
    for user in wanted.users:
        now = facts.users.get(user.name)
        if now is not None and user.uid and now.uid != user.uid:
            names |= {user.name: str(now.uid), str(user.uid): user.name}
    return names
