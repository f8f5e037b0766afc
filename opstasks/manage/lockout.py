"""Whether carrying out a description would lock people out: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opstasks.core.errors import Refused
from opstasks.manage import keys
from opstasks.manage.facts import Facts
from opstasks.manage.model import Description
from opstasks.manage.plan import Plan

# The role whose people look after hosts, and the groups by which one becomes root.
KEEPERS = "developers"
POWER = (KEEPERS, "sudo", "wheel", "admin")


def check_described(described: Mapping[str, tuple[str, Description]], folder: str) -> None:
    """Raise Refused where a description lists nobody to look after a host; needs no connection.

    `described` has each host's backend and description; `folder` is where they lie.
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
        f"nobody is listed under people.{KEEPERS}: nobody of yours would have a way in",
        host=", ".join(empty),
        hint=f"in {files} write `people: {{{KEEPERS}: [alice]}}` with your account name, and put "
        f"your public key into {folder}/keys/alice (or --allow-lockout, if that is meant)",
    )


def risks(facts: Facts, wanted: Description, planned: Plan, *, by_ssh: bool) -> Iterator[str]:
    """Why the plan may leave nobody, or not us, a way in; nothing to say about an empty plan."""
    if not planned.todo:
        return
    if any(role.name == KEEPERS for role in wanted.roles) and not _somebody(facts, wanted):
        yield f"no listed person of {KEEPERS} would have a key: list one under `people`"
    me = facts["login"]
    for step in planned.todo:
        action = step.action
        if action["do"] == "member" and action["user"] == me and not action["joins"]:
            if action["group"] in POWER:
                yield f"you came in as {me}, who would leave group {action['group']}"
        elif action.get("path") == f"/home/{me}/.ssh/authorized_keys" and "content" in action:
            if not _is_plain(facts["paths"].get(action["path"])):
                yield f"you came in as {me}, whose {action['path']} is no plain file: look at it"
            elif not _shared(step.before or "", step.after or ""):
                yield f"you came in as {me}, none of whose present keys would stay"
        elif by_ssh and me == "root" and _shuts_root_out(action.get("content", "")):
            yield f"you came in as root, and {action['path']} forbids that"


def _somebody(facts: Facts, wanted: Description) -> bool:
    """Whether a listed keeper has a key: a described one, or a file that is kept."""
    for name in wanted.people.get(KEEPERS, ()):
        path = f"/home/{name}/.ssh/authorized_keys"
        if path in wanted.contents or name in facts["keyed"]:
            return True
    return False


def _is_plain(now: dict[str, Any] | None) -> bool:
    """Whether we know the keys that are there: those of a plain file, or none."""
    return now is None or now["kind"] == "file"


def _shared(before: str, after: str) -> bool:
    """Whether a key of before is among those of after; a file that was no good has none to lose."""
    now, then = _good_keys(before), _good_keys(after)
    return not now or bool(now & then)


def _good_keys(text: str) -> set[keys.Key]:
    found: set[keys.Key] = set()
    for line in text.splitlines():
        try:
            found |= set(keys.parse(line))
        except keys.NotAKey:
            continue
    return found


def _shuts_root_out(content: str) -> bool:
    words = [line.split() for line in content.lower().splitlines()]
    return ["permitrootlogin", "no"] in words
