"""The state of a host, read in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from opstasks.core.errors import InvalidResponse
from opstasks.core.result import Result
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program, ProgramCommand
from opstasks.manage import effect, keys
from opstasks.manage.effect_facts import EffectRequest
from opstasks.manage.facts import ManageFacts, sha256
from opstasks.manage.model import Description, Tree


class AskedPath(msgspec.Struct, frozen=True):
    """A path; its content is hashed only if it `may_read`, and sent only if `sha256` differs.

    An empty `sha256`: the content is never sent.
    """

    path: str
    sha256: str = ""
    may_read: bool = False


class AskedCheck(msgspec.Struct, frozen=True):
    """A new content, and the host's own command that must accept it as ``@file@``."""

    path: str
    content: str
    command: tuple[str, ...]
    sha256: str


class AskedSetting(msgspec.Struct, frozen=True):
    """A file, and the pattern of the lines that count."""

    name: str
    path: str
    match: str


class AskedTree(msgspec.Struct, frozen=True):
    """A directory, and the rights of everything below it; `files` are the allowed modes."""

    path: str
    owner: str
    group: str
    files: tuple[str, ...]
    directories: str


class AskedProbe(msgspec.Struct, frozen=True):
    """A command that succeeds if the state is right."""

    name: str
    test: tuple[str, ...]


class ManageInspectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The questions about a host; for secret files only owner and mode, never the content.

    `people` asks for the accounts that can log in with a key. `mark` is the first text of key
    files that `manage` writes. `words` are searched for in sudo's log. `pending` is the file that
    exists while a change of the login files is not confirmed.
    """

    pending: str
    mark: str = keys.MARK
    groups: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    people: bool = False
    paths: tuple[AskedPath, ...] = ()
    checks: tuple[AskedCheck, ...] = ()
    settings: tuple[AskedSetting, ...] = ()
    trees: tuple[AskedTree, ...] = ()
    checkouts: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    upgrade: bool = False
    probes: tuple[AskedProbe, ...] = ()
    units: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    effect: EffectRequest | None = None


INSPECT = Program("opstasks.manage.onhost.inspect", ManageInspectRequest, ManageFacts)


def inspect(host: Host, wanted: Description) -> ManageFacts:
    """Ask the host as root; raises what `opstasks.fleet.program.Program.decode` raises."""
    return ask(host, request(wanted, host.spec))


def ask(host: Host, asked: ManageInspectRequest) -> ManageFacts:
    """Ask the host as root with a given request."""
    (result,) = host.root.batch([question(asked)])
    return decode(result, asked, host.name)


def question(asked: ManageInspectRequest) -> ProgramCommand:
    """The command that reads the state of a host; `decode` reads its output."""
    return INSPECT.command(asked)


def decode(result: Result, asked: ManageInspectRequest, host: str) -> ManageFacts:
    """The facts; also raises InvalidResponse when a requested name is missing."""
    facts = INSPECT.decode(result, host)
    for section, names in _sections(asked):
        lacking = set(names) - set(getattr(facts, section))
        if lacking:
            raise _incomplete(f"{section} without {min(lacking)}", host)
    if asked.effect and facts.effect is None:
        raise _incomplete("nothing about what is in effect", host)
    return facts


def _incomplete(what: str, host: str) -> InvalidResponse:
    return InvalidResponse(
        f"invalid response from the host: {what}",
        host=host,
        command=INSPECT.name,
        hint=f"inv -H {host} doctor",
    )


def _sections(asked: ManageInspectRequest) -> Iterator[tuple[str, Iterable[str]]]:
    """The names that each section of the answer must have."""
    yield from (
        (section, getattr(asked, section))
        for section in ("groups", "users", "checkouts", "packages", "units")
    )
    yield from (
        (section, [entry.path for entry in getattr(asked, section)])
        for section in ("paths", "trees")
    )
    yield from (
        (section, [entry.name for entry in getattr(asked, section)])
        for section in ("settings", "probes")
    )


def access_dir(spec: HostSpec) -> str:
    """Where the host keeps the old login files until a fresh connection succeeds."""
    return f"{spec.lock_dir}/access"


def empty_request(spec: HostSpec) -> ManageInspectRequest:
    """An empty request."""
    return ManageInspectRequest(pending=f"{access_dir(spec)}/manifest.json")


def request(wanted: Description, spec: HostSpec) -> ManageInspectRequest:
    """What to ask the host about, for a description."""
    return msgspec.structs.replace(
        empty_request(spec),
        groups=tuple(entry.name for entry in wanted.groups),
        users=tuple(entry.name for entry in wanted.users),
        people=bool(wanted.roles),
        paths=tuple(_paths(wanted)),
        checks=tuple(_checks(wanted)),
        settings=tuple(AskedSetting(s.name, s.path, s.match) for s in wanted.settings),
        trees=tuple(_tree(tree, wanted) for tree in wanted.trees),
        checkouts=tuple(entry.path for entry in wanted.checkouts),
        packages=tuple(entry.name for entry in wanted.packages if entry.state != "any"),
        upgrade=wanted.options.upgrade and wanted.options.packages == "manage",
        probes=tuple(AskedProbe(entry.name, entry.test) for entry in wanted.probes),
        units=tuple(entry.name for entry in wanted.units),
        words=_words(wanted),
        effect=effect.request(wanted),
    )


def _paths(wanted: Description) -> Iterator[AskedPath]:
    if wanted.options.requires:
        yield AskedPath(wanted.options.requires)
    yield from (AskedPath(directory.path) for directory in wanted.directories)
    yield from (AskedPath(rights.path) for rights in wanted.rights)
    yield from (AskedPath(removal.path, may_read=True) for removal in wanted.removals)
    for file in wanted.files:
        content = wanted.contents[file.path]
        yield AskedPath(file.path, sha256(content), not (file.secret or file.once))
    for creation in wanted.creations:
        yield AskedPath(creation.path)


def _checks(wanted: Description) -> Iterator[AskedCheck]:
    for file in wanted.files:
        if file.check and not file.once:
            content = wanted.contents[file.path]
            yield AskedCheck(file.path, content, file.check, sha256(content))


def _tree(tree: Tree, wanted: Description) -> AskedTree:
    """A tree, with the described ids of its owner and group."""
    uids = {user.name: str(user.uid) for user in wanted.users if user.uid}
    gids = {group.name: str(group.gid) for group in wanted.groups if group.gid}
    owner, group = uids.get(tree.owner, tree.owner), gids.get(tree.group, tree.group)
    return AskedTree(tree.path, owner, group, (tree.files, *tree.tolerated), tree.directories)


def _words(wanted: Description) -> tuple[str, ...]:
    """Words that a person would type to change one of these things by hand."""
    placed: tuple[Sequence[Any], ...] = (
        wanted.directories,
        wanted.files,
        wanted.rights,
        wanted.removals,
        wanted.settings,
    )
    named: tuple[Sequence[Any], ...] = (wanted.groups, wanted.users, wanted.packages)
    words = [entry.path for entries in placed for entry in entries]
    words += [entry.name for entries in named for entry in entries]
    words += [word for unit in wanted.units for word in (unit.name, f"{unit.name}.service")]
    return tuple(sorted(set(words)))
