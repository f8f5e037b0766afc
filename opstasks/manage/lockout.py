"""Whether carrying out a description would lock people out: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opstasks.core.errors import Refused
from opstasks.core.lines import lines_of
from opstasks.manage import keys
from opstasks.manage.actions import AnyAction, SetMember, WriteFile
from opstasks.manage.facts import ManageFacts, PathFacts
from opstasks.manage.model import Description
from opstasks.manage.steps import ManagePlan, ManageStep

# The role of the people who look after hosts, and the groups that may become root.
KEEPERS = "developers"
POWER = (KEEPERS, "sudo", "wheel", "admin")


def check_described(described: Mapping[str, tuple[str, Description]], folder: str) -> None:
    """Raise Refused if a description lists no developer; needs no connection.

    `described` has each host's backend and description; `folder` is where they are.
    """
    empty = {
        host: backend
        for host, (backend, wanted) in described.items()
        if any(role.name == KEEPERS for role in wanted.roles) and not wanted.people.get(KEEPERS)
    }
    if not empty:
        return
    files = ", ".join(f"{folder}/{backend}/host.yaml" for backend in dict.fromkeys(empty.values()))
    raise Refused(
        f"no account is listed under people.{KEEPERS}: no developer could log in",
        host=", ".join(empty),
        hint=f"in {files} write `people: {{{KEEPERS}: [alice]}}` with your account name, and put "
        f"your public key into {folder}/keys/alice (or --allow-lockout if you mean it)",
    )


def risks(
    facts: ManageFacts, wanted: Description, planned: ManagePlan, *, by_ssh: bool
) -> Iterator[str]:
    """Why the plan may lock out all developers, or us; an empty plan has no risk."""
    if not planned.todo:
        return
    if any(role.name == KEEPERS for role in wanted.roles) and not _has_keeper(facts, wanted):
        yield f"no listed person of {KEEPERS} would have a key: list one under `people`"
    for step in planned.todo:
        yield from _risks_of(step, facts)
        if by_ssh and facts.login == "root" and _forbids_root(step.action):
            yield f"you are logged in as root, and {step.thing} forbids that"


def _risks_of(step: ManageStep, facts: ManageFacts) -> Iterator[str]:
    """What one step removes from the connected person."""
    me, action = facts.login, step.action
    if isinstance(action, SetMember) and action.user == me and not action.joins:
        if action.group in POWER:
            yield f"you are logged in as {me}, who would leave group {action.group}"
    elif isinstance(action, WriteFile) and action.path == f"/home/{me}/.ssh/authorized_keys":
        if not _is_plain(facts.paths.get(action.path)):
            yield f"you are logged in as {me}, and {action.path} is not a plain file: inspect it"
        elif not _shared(step.before or "", step.after or ""):
            yield f"you are logged in as {me}, and none of your present keys would stay"


def _has_keeper(facts: ManageFacts, wanted: Description) -> bool:
    """Whether a listed developer has a key: a described one, or a file that stays."""
    for name in wanted.people.get(KEEPERS, ()):
        path = f"/home/{name}/.ssh/authorized_keys"
        if path in wanted.contents or name in facts.keyed:
            return True
    return False


def _is_plain(now: PathFacts | None) -> bool:
    """Whether the existing keys are known: those of a plain file, or none."""
    return now is None or now.kind == "file"


def _shared(before: str, after: str) -> bool:
    """Whether one of the old keys stays; true if the old file has no valid key."""
    now, then = _good_keys(before), _good_keys(after)
    return not now or bool(now & then)


def _good_keys(text: str) -> set[keys.SshKey]:
    found: set[keys.SshKey] = set()
    for line in lines_of(text):
        try:
            found |= set(keys.parse(line))
        except keys.NotAKey:
            continue
    return found


def _forbids_root(action: AnyAction | None) -> bool:
    if not isinstance(action, WriteFile):
        return False
    words = [line.split() for line in lines_of(action.content.lower())]
    return ["permitrootlogin", "no"] in words
