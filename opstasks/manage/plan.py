"""From how a host is to how it should be: pure, so that what is shown is what is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from opstasks.manage.facts import Facts, sha256
from opstasks.manage.model import (
    AREAS,
    Checkout,
    Creation,
    Description,
    Directory,
    File,
    Group,
    Probe,
    Removal,
    Rights,
    Setting,
    Tree,
    Unit,
    User,
)

Action = dict[str, Any]
# How long before a file's change a sudo command that names it may have begun, in seconds.
EDITING_S = 3600


@dataclass(frozen=True)
class Step:
    """One change: where, what, how it is now, how it will be, and why it is so.

    `action` is for the host; without one, the step is only reported. An `access` step is done
    last, and undone unless a fresh connection succeeds.
    """

    area: str
    thing: str
    now: str
    wanted: str
    action: Action = field(repr=False)
    why: str = ""
    access: bool = False
    before: str | None = field(default=None, repr=False)
    after: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Plan:
    """The steps for one host, in the order in which they are done.

    `refusals` are reasons not to do any of them; `notes` are for the operator.
    """

    steps: tuple[Step, ...]
    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything is not as described."""
        return bool(self.steps)

    @property
    def todo(self) -> tuple[Step, ...]:
        """The steps that can be done: the others are only reported."""
        return tuple(step for step in self.steps if step.action)

    def areas(self) -> dict[str, int]:
        """How many steps each area has, in the order of areas."""
        counts: dict[str, int] = dict.fromkeys(AREAS, 0)
        for step in self.steps:
            counts[step.area] += 1
        return {area: count for area, count in counts.items() if count}


@dataclass(frozen=True)
class Selection:
    """The areas that a run is about; empty `only` means all."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def has(self, area: str) -> bool:
        """Whether the run is about an area."""
        return (not self.only or area in self.only) and area not in self.skip


ALL = Selection()


def plan(facts: Facts, wanted: Description, selection: Selection = ALL) -> Plan:
    """The steps that make the host as described, in the selected areas."""
    facts = renumbered(facts, wanted) if selection.has("accounts") else facts
    steps = [step for step in _steps(facts, wanted) if selection.has(step.area)]
    # What people get in by comes last: everything else is done and proven by then.
    late = [step for step in steps if step.access]
    refusals = tuple(
        said if path in said else f"{path}: {said}"
        for path, said in facts["refusals"].items()
        if any(step.thing == path for step in steps)
    )
    notes = wanted.notes if selection.has("accounts") else ()
    soon = [step for step in steps if not step.access]
    return Plan((*soon, *late), refusals, notes)


def renumbered(facts: Facts, wanted: Description) -> Facts:
    """The facts as they read once accounts have their numbers.

    What a group owned under its old number is nobody's then, and what has the new one is its.
    """
    names: dict[str, dict[str, str]] = {"owner": {}, "group": {}}
    for kind, section, key in (("group", "groups", "gid"), ("owner", "users", "uid")):
        for entry in getattr(wanted, section):
            now, number = facts[section].get(entry.name), getattr(entry, key)
            if now is not None and number and now[key] != number:
                names[kind] |= {entry.name: str(now[key]), str(number): entry.name}
    if not any(names.values()):
        return facts
    paths = {}
    for path, entry in facts["paths"].items():
        own = {k: names[k].get(entry[k], entry[k]) for k in names} if entry else {}
        paths[path] = {**entry, **own} if entry else entry
    return {**facts, "paths": paths}


def _steps(facts: Facts, wanted: Description) -> Iterator[Step]:
    yield from _packages(facts, wanted)
    yield from _accounts(facts, wanted)
    yield from _files(facts, wanted)
    yield from _service(facts, wanted)
    if facts["unproven"]:
        yield Step(
            "access",
            "a change of how people get in",
            "not proven by a fresh connection",
            "proven",
            {"do": "nothing"},
            why="an earlier run was cut off",
            access=True,
        )


def _accounts(facts: Facts, wanted: Description) -> Iterator[Step]:
    for group in wanted.groups:
        yield from _group(group, facts)
    for user in wanted.users:
        yield from _user(user, facts)
    yield from _members(facts, wanted)
    yield from _strangers(facts, wanted)


def _files(facts: Facts, wanted: Description) -> Iterator[Step]:
    for directory in wanted.directories:
        yield from _directory(directory, facts)
    for file in wanted.files:
        yield from _file(file, wanted.contents[file.path], facts)
    for setting in wanted.settings:
        yield from _setting(setting, facts)
    for rights in wanted.rights:
        yield from _loose(rights, facts)
    for removal in wanted.removals:
        yield from _removal(removal, facts)
    for tree in wanted.trees:
        yield from _tree(tree, facts["trees"][tree.path])


def _service(facts: Facts, wanted: Description) -> Iterator[Step]:
    for checkout in wanted.checkouts:
        yield from _checkout(checkout, facts["checkouts"].get(checkout.path))
    for creation in wanted.creations:
        yield from _creation(creation, facts["paths"].get(creation.path))
    for unit in wanted.units:
        yield from _unit(unit, facts)
    for probe in wanted.probes:
        yield from _probe(probe, facts["probes"][probe.name])


# -- who and when --------------------------------------------------------------------------------


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _file_history(facts: Facts, path: str) -> str:
    """When a file was changed, and by whom if sudo's log names it."""
    when = (facts["paths"].get(path) or {}).get("when", 0)
    who, since = facts["touched"].get(path, ("", 0))
    if not when:
        return ""
    by = f" by {who}" if who and when - EDITING_S <= since <= when + 5 else ""
    return f"changed {_moment(when)}{by}"


def _history(facts: Facts, *words: str) -> str:
    """Who last used one of these words in a sudo command."""
    known = [facts["touched"][word] for word in words if word in facts["touched"]]
    if not known:
        return ""
    who, when = max(known, key=lambda item: item[1])
    return f"perhaps {who}, {_moment(when)}"


# -- packages ------------------------------------------------------------------------------------


def _packages(facts: Facts, wanted: Description) -> Iterator[Step]:
    may = wanted.options.packages == "manage"
    for state, verb, now in (("absent", "purge", "installed"), ("present", "install", "missing")):
        named = [entry for entry in wanted.packages if entry.state == state]
        names = [e.name for e in named if facts["packages"][e.name] is (state == "absent")]
        action = {"do": "packages", "verb": verb, "names": names} if may else {}
        for name in names:
            # One apt for all of them; the others' steps find it done.
            yield Step(
                "packages",
                f"package {name}",
                now,
                {"purge": "not installed", "install": "installed"}[verb],
                action,
                why=_history(facts, name) if may else "no archive there: by hand",
            )
    days = facts.get("lists_age_s", 0) // 86400
    if days:
        # What they do not know yet is outdated, too.
        action = {"do": "packages", "verb": "refresh", "names": []}
        now, want = f"{days} day(s) old", "brought up to date, and all packages"
        yield Step("packages", "package lists", now, want, action)
    if facts["upgradable"]:
        names = facts["upgradable"]
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        action = {"do": "packages", "verb": "upgrade", "names": []}
        yield Step(
            "packages", f"{len(names)} package(s)", "outdated", "upgraded", action, why=shown
        )


# -- accounts ------------------------------------------------------------------------------------


def _group(group: Group, facts: Facts) -> Iterator[Step]:
    now = facts["groups"].get(group.name)
    if now is None or (group.gid and now["gid"] != group.gid):
        yield Step(
            group.area,
            f"group {group.name}",
            f"gid {now['gid']}" if now else "absent",
            f"gid {group.gid}" if group.gid else "present",
            {"do": "group", "name": group.name, "gid": group.gid, "exists": now is not None},
            why=_history(facts, group.name),
        )


def _user(user: User, facts: Facts) -> Iterator[Step]:
    now = facts["users"].get(user.name)
    action = {
        "do": "user",
        "name": user.name,
        "uid": user.uid,
        "group": user.group,
        "groups": list(user.groups),
        "home": user.home,
        "shell": user.shell,
        "personal": user.personal,
        "exists": now is not None,
        "shut": False,
    }
    if now is None:
        want = f"uid {user.uid}" if user.uid else f"in {', '.join(user.groups) or 'no group'}"
        yield Step(user.area, f"user {user.name}", "absent", want, action)
        return
    differing = {
        key: (now[key], getattr(user, key))
        for key in ("uid", "group", "home", "shell")
        if now[key] != getattr(user, key) and not (key == "uid" and not user.uid)
    }
    if user.personal and now["expired"]:
        differing["account"] = ("shut", "open")
        action["shut"] = True
    if differing:
        yield Step(
            user.area,
            f"user {user.name}",
            ", ".join(f"{key} {old}" for key, (old, _) in differing.items()),
            ", ".join(f"{key} {new}" for key, (_, new) in differing.items()),
            action,
            why=_history(facts, user.name),
        )


def members(wanted: Description) -> dict[str, set[str]]:
    """Who is described as a member of each group."""
    found: dict[str, set[str]] = {group.name: set() for group in wanted.groups}
    for user in wanted.users:
        for group in user.groups:
            found[group].add(user.name)
    return found


def _members(facts: Facts, wanted: Description) -> Iterator[Step]:
    described = members(wanted)
    exclusive = {user.name: user.exclusive for user in wanted.users}
    given = {group for role in wanted.roles for group in role.groups}
    former = _former(facts, wanted)
    for group in wanted.groups:
        now = set((facts["groups"].get(group.name) or {}).get("members", ()))
        want = described[group.name]
        # An account that is made is made with its groups.
        lacking = {name for name in want - now if facts["users"].get(name) is not None}
        stray = {
            name
            for name in now - want
            if group.exact
            or group.name in exclusive.get(name, ())
            or (group.name in given and name in former)
        }
        for name in sorted(lacking | stray):
            yield _member(facts, group, name, joins=name in lacking)


def _former(facts: Facts, wanted: Description) -> set[str]:
    """People whom a description listed once, and none lists now: they keep no group of a role.

    They are in the group named like their role, or have keys that we wrote. An account of the
    system or of a cloud's image is and has neither, and may stay in `sudo`.
    """
    found = set(facts["marked"])
    for role in wanted.roles:
        found.update((facts["groups"].get(role.name) or {}).get("members", ()))
    return found - {user.name for user in wanted.users} - set(wanted.options.known_accounts)


def _member(facts: Facts, group: Group, name: str, *, joins: bool) -> Step:
    return Step(
        group.area,
        f"{name} in group {group.name}",
        "no" if joins else "yes",
        "yes" if joins else "no",
        {"do": "member", "group": group.name, "user": name, "joins": joins},
        why=_history(facts, name),
    )


def _strangers(facts: Facts, wanted: Description) -> Iterator[Step]:
    """Accounts that can log in although nobody lists them: said, never touched."""
    known = {user.name for user in wanted.users} | set(wanted.options.known_accounts)
    for name in facts["keyed"]:
        if name not in known:
            yield Step(
                "accounts",
                f"user {name}",
                "can log in, in no list",
                "users.disable, or list it",
                {},
                why=_history(facts, name),
            )


# -- files ---------------------------------------------------------------------------------------


def _rights(now: dict[str, Any], wanted: Directory | File | Rights) -> tuple[str, str] | None:
    """Owner, group and mode as they are and as they should be, where they differ."""
    have = f"{now['owner']}:{now['group']} {now['mode']}"
    want = f"{wanted.owner}:{wanted.group} {wanted.mode}"
    return (have, want) if have != want else None


def _placed(entry: Directory | File | Rights, verb: str) -> Action:
    return {
        "do": verb,
        "path": entry.path,
        "owner": entry.owner,
        "group": entry.group,
        "mode": entry.mode,
    }


def _directory(directory: Directory, facts: Facts) -> Iterator[Step]:
    now = facts["paths"].get(directory.path)
    want = f"{directory.owner}:{directory.group} {directory.mode}"
    action = _placed(directory, "directory")
    area, path = directory.area, directory.path
    if now is None:
        yield Step(area, path, "absent", want, action)
    elif now["kind"] != "directory":
        yield Step(area, path, f"a {now['kind']}", want, action, _file_history(facts, path))
    elif differing := _rights(now, directory):
        yield Step(area, path, *differing, action, _file_history(facts, path))


def _file(file: File, content: str, facts: Facts) -> Iterator[Step]:
    now = facts["paths"].get(file.path)
    action = {
        **_placed(file, "file"),
        "content": content,
        "backup": file.backup,
        "check": list(file.check),
        "verify": list(file.verify),
        "reload": file.reload,
    }
    why = _file_history(facts, file.path)
    # A person's own keys are what that person gets in by.
    access = file.access or file.path == _own_keys(facts)
    after = None if file.secret else content
    if now is None or now["kind"] != "file":
        have = "absent" if now is None else f"a {now['kind']}"
        want = f"{file.owner}:{file.group} {file.mode}"
        yield Step(file.area, file.path, have, want, action, why, access, before="", after=after)
    elif not (file.once or file.secret) and now["sha256"] != sha256(content):
        have, before = "content differs", now.get("text", "")
        yield Step(file.area, file.path, have, "as described", action, why, access, before, after)
    elif differing := _rights(now, file):
        yield Step(file.area, file.path, *differing, _placed(file, "rights"), why)


def _removal(removal: Removal, facts: Facts) -> Iterator[Step]:
    path, now = removal.path, facts["paths"].get(removal.path)
    if now is not None:
        action = {"do": "remove", "path": path, "reload": removal.reload}
        have, why = f"a {now['kind']}", _file_history(facts, path)
        yield Step(removal.area, path, have, "absent", action, why, removal.access)


def _own_keys(facts: Facts) -> str:
    return f"/home/{facts['login']}/.ssh/authorized_keys"


def _setting(setting: Setting, facts: Facts) -> Iterator[Step]:
    now = facts["settings"].get(setting.name)
    if now is None or now["lines"] == [setting.line]:
        return
    action = {"do": "setting", "path": setting.path, "match": setting.match, "line": setting.line}
    have = " | ".join(now["lines"]) or "absent"
    why = _history(facts, setting.path)
    yield Step(setting.area, f"{setting.path}: {setting.name}", have, setting.line, action, why)


def _loose(rights: Rights, facts: Facts) -> Iterator[Step]:
    now = facts["paths"].get(rights.path)
    if now is not None and now["kind"] == "file" and (differing := _rights(now, rights)):
        why = _file_history(facts, rights.path)
        yield Step(rights.area, rights.path, *differing, _placed(rights, "rights"), why)


def _tree(tree: Tree, now: dict[str, Any]) -> Iterator[Step]:
    if now["wrong"]:
        action = {
            "do": "tree",
            "path": tree.path,
            "owner": tree.owner,
            "group": tree.group,
            "files": tree.files,
            "directories": tree.directories,
            "tolerated": list(tree.tolerated),
        }
        want = f"{tree.owner}:{tree.group}, files {tree.files}, directories {tree.directories}"
        more = ", ..." if now["wrong"] > len(now["examples"]) else ""
        why = ", ".join(now["examples"]) + more
        yield Step(tree.area, f"below {tree.path}", f"{now['wrong']} wrong", want, action, why)


# -- service -------------------------------------------------------------------------------------


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


def _probe(probe: Probe, holds: bool) -> Iterator[Step]:
    if not holds:
        action = {"do": "probe", "test": list(probe.test), "run": list(probe.run)}
        yield Step(probe.area, probe.name, "not as it should be", "as it should be", action)


def _unit(unit: Unit, facts: Facts) -> Iterator[Step]:
    now = facts["units"].get(unit.name) or {}
    file_state = now.get("UnitFileState") or "absent"
    known = file_state in ("enabled", "enabled-runtime", "alias", "static", "generated", "indirect")
    active = now.get("ActiveState") in ("active", "activating", "reloading")
    why = _history(facts, unit.name, f"{unit.name}.service")

    def step(now: str, wanted: str, verb: str) -> Step:
        action = {"do": verb, "name": unit.name}
        return Step(unit.area, f"unit {unit.name}", now, wanted, action, why)

    if unit.enabled and not known:
        yield step(file_state, "enabled", "enable")
    if not unit.enabled and file_state in ("enabled", "enabled-runtime"):
        yield step(file_state, "disabled", "disable")
    if unit.state == "running" and not active:
        yield step(now.get("ActiveState") or "absent", "active", "start")
    if unit.state == "stopped" and active:
        yield step(now["ActiveState"], "inactive", "stop")
