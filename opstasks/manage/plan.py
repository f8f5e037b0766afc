"""From how a host is to how it should be: pure, so that what is shown is what is done."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from opstasks.manage.describe import (
    Checkout,
    Creation,
    Description,
    Directory,
    File,
    Group,
    Unit,
    User,
)
from opstasks.manage.facts import Facts, sha256

Action = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One change: where, what, how it is now, how it will be; `action` is for the host."""

    area: str
    thing: str
    now: str
    wanted: str
    action: Action = field(repr=False, compare=True)
    before: str | None = field(default=None, repr=False)
    after: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Plan:
    """The steps for one host, in the order in which they are done."""

    steps: tuple[Step, ...]

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.steps)

    def areas(self) -> dict[str, int]:
        """How many steps each area has."""
        counts: dict[str, int] = {}
        for step in self.steps:
            counts[step.area] = counts.get(step.area, 0) + 1
        return counts


def plan(
    facts: Facts, wanted: Description, *, only: Iterable[str] = (), skip: Iterable[str] = ()
) -> Plan:
    """The steps that make the host as described, in the selected areas."""
    only, skip = set(only), set(skip)
    steps = (step for step in _steps(facts, wanted) if not only or step.area in only)
    return Plan(tuple(step for step in steps if step.area not in skip))


def _steps(facts: Facts, wanted: Description) -> Iterator[Step]:
    for group in wanted.groups:
        yield from _group(group, facts["groups"].get(group.name))
    for user in wanted.users:
        yield from _user(user, facts["users"].get(user.name))
    for directory in wanted.directories:
        yield from _directory(directory, facts["paths"].get(directory.path))
    for file in wanted.files:
        yield from _file(file, wanted.contents[file.path], facts["paths"].get(file.path))
    for checkout in wanted.checkouts:
        yield from _checkout(checkout, facts["checkouts"].get(checkout.path))
    for creation in wanted.creations:
        yield from _creation(creation, facts["paths"].get(creation.path))
    for unit in wanted.units:
        yield from _unit(unit, facts["units"].get(unit.name) or {})


def _group(group: Group, now: dict[str, Any] | None) -> Iterator[Step]:
    if now is None or (group.gid and now["gid"] != group.gid):
        yield Step(
            group.area,
            f"group {group.name}",
            f"gid {now['gid']}" if now else "absent",
            f"gid {group.gid}" if group.gid else "present",
            {"do": "group", "name": group.name, "gid": group.gid, "exists": now is not None},
        )


def _user(user: User, now: dict[str, Any] | None) -> Iterator[Step]:
    action = {
        "do": "user",
        "name": user.name,
        "uid": user.uid,
        "group": user.group,
        "groups": list(user.groups),
        "home": user.home,
        "shell": user.shell,
        "exists": now is not None,
    }
    if now is None:
        yield Step(user.area, f"user {user.name}", "absent", f"uid {user.uid}", action)
        return
    differing = {
        key: (now[key], getattr(user, key))
        for key in ("uid", "group", "home", "shell")
        if now[key] != getattr(user, key)
    }
    lacking = set(user.groups) - set(now["groups"])
    if lacking:
        differing["groups"] = (
            ",".join(now["groups"]) or "none",
            ",".join(sorted({*now["groups"], *user.groups})),
        )
    if differing:
        yield Step(
            user.area,
            f"user {user.name}",
            ", ".join(f"{key} {old}" for key, (old, _) in differing.items()),
            ", ".join(f"{key} {new}" for key, (_, new) in differing.items()),
            action,
        )


def _rights(now: dict[str, Any], wanted: Directory | File) -> tuple[str, str] | None:
    """Owner, group and mode as they are and as they should be, where they differ."""
    have = f"{now['owner']}:{now['group']} {now['mode']}"
    want = f"{wanted.owner}:{wanted.group} {wanted.mode}"
    return (have, want) if have != want else None


def _directory(directory: Directory, now: dict[str, Any] | None) -> Iterator[Step]:
    want = f"{directory.owner}:{directory.group} {directory.mode}"
    action = {
        "do": "directory",
        "path": directory.path,
        "owner": directory.owner,
        "group": directory.group,
        "mode": directory.mode,
    }
    if now is None:
        yield Step(directory.area, directory.path, "absent", want, action)
    elif now["kind"] != "directory":
        yield Step(directory.area, directory.path, f"a {now['kind']}", want, action)
    elif differing := _rights(now, directory):
        yield Step(directory.area, directory.path, *differing, action)


def _file(file: File, content: str, now: dict[str, Any] | None) -> Iterator[Step]:
    action: Action = {
        "do": "file",
        "path": file.path,
        "owner": file.owner,
        "group": file.group,
        "mode": file.mode,
        "content": content,
        "backup": file.backup,
        "check": list(file.check),
        "reload": file.reload,
    }
    after = None if file.secret else content
    if now is None or now["kind"] != "file":
        have = "absent" if now is None else f"a {now['kind']}"
        want = f"{file.owner}:{file.group} {file.mode}"
        yield Step(file.area, file.path, have, want, action, before="", after=after)
    elif not (file.once or file.secret) and now["sha256"] != sha256(content):
        yield Step(
            file.area,
            file.path,
            "content differs",
            "as described",
            action,
            before=now.get("text", ""),
            after=after,
        )
    elif differing := _rights(now, file):
        rights = {key: action[key] for key in ("path", "owner", "group", "mode")}
        yield Step(file.area, file.path, *differing, {"do": "rights", **rights})


def _checkout(checkout: Checkout, exists: Any) -> Iterator[Step]:
    if not exists:
        action = {
            "do": "checkout",
            "path": checkout.path,
            "url": checkout.url,
            "ref": checkout.ref,
            "owner": checkout.owner,
        }
        yield Step(checkout.area, checkout.path, "absent", f"{checkout.url} {checkout.ref}", action)


def _creation(creation: Creation, now: dict[str, Any] | None) -> Iterator[Step]:
    if now is None:
        action = {
            "do": "create",
            "path": creation.path,
            "run": creation.run,
            "owner": creation.owner,
        }
        yield Step(creation.area, creation.path, "absent", "created", action)


def _unit(unit: Unit, now: dict[str, str]) -> Iterator[Step]:
    enabled = now.get("UnitFileState") == "enabled"
    active = now.get("ActiveState") in ("active", "activating", "reloading")
    if not enabled:
        have = now.get("UnitFileState") or "absent"
        yield Step(
            unit.area, f"unit {unit.name}", have, "enabled", {"do": "enable", "name": unit.name}
        )
    if not active:
        have = now.get("ActiveState") or "absent"
        yield Step(
            unit.area, f"unit {unit.name}", have, "active", {"do": "start", "name": unit.name}
        )


def diff(step: Step) -> list[str]:
    """A unified diff of a file step; secrets have no text to show."""
    if step.before is None or step.after is None:
        return []
    return list(
        difflib.unified_diff(
            step.before.splitlines(),
            step.after.splitlines(),
            f"{step.thing} (now)",
            f"{step.thing} (wanted)",
            lineterm="",
        )
    )
