"""From lists of people to accounts, homes and authorized_keys: pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from opstasks.manage import keys
from opstasks.manage.model import Description, Directory, File, User

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")

# The keys from a key source, or the reason why it gave none.
FoundKeys = tuple[keys.SshKey, ...] | str


@dataclass(frozen=True)
class Keyring:
    """A person's keys: from the repository, and from the key source (or why it gave none)."""

    repository: tuple[keys.SshKey, ...]
    source: FoundKeys = ()

    @property
    def complete(self) -> bool:
        """Whether these are all keys: a failed source may have more."""
        return not isinstance(self.source, str)

    @property
    def known(self) -> tuple[keys.SshKey, ...]:
        """Every known key, once."""
        more = () if isinstance(self.source, str) else self.source
        return tuple(dict.fromkeys((*self.repository, *more)))


def mistakes(wanted: Description) -> Iterator[str]:
    """Mistakes in the lists of people, before any key is read."""
    roles = {role.name for role in wanted.roles}
    taken = {user.name for user in wanted.users} | {"root"}
    seen: dict[str, str] = {}
    for role, names in wanted.people.items():
        if role not in roles:
            yield f"people.{role}: unknown role (roles: {', '.join(sorted(roles))})"
        for name in names:
            if not NAME.fullmatch(name):
                yield f"people.{role}: {name!r} is not an account name"
            elif name in taken:
                yield f"people.{role}: {name!r} is an account of the description"
            elif seen.get(name, role) != role:
                yield f"people: {name!r} is in two roles, {seen[name]} and {role}: keep one"
            seen.setdefault(name, role)
    known = {group.name for group in wanted.groups}
    for entry in wanted.roles:
        for group in sorted(set(entry.groups) - known):
            yield f"roles.{entry.name}: unknown group {group!r}"


def with_people(wanted: Description, keyrings: Mapping[str, Keyring]) -> Description:
    """The description with an account, a home and keys for every listed person."""
    groups = {role.name: role.groups for role in wanted.roles}
    exclusive = tuple(sorted({group for given in groups.values() for group in given}))
    users, directories, files = list(wanted.users), list(wanted.directories), list(wanted.files)
    contents, notes = dict(wanted.contents), list(wanted.notes)
    for name, role in wanted.listed().items():
        ring, home = keyrings[name], f"/home/{name}"
        users.append(_account(name, home, groups[role], exclusive))
        directories += [_folder(home, name), _folder(f"{home}/.ssh", name)]
        if not ring.complete:
            notes.append(f"{name}: the key source gave no keys ({ring.source}); the old ones stay")
        if ring.known:
            path = f"{home}/.ssh/authorized_keys"
            files.append(_keys_file(path, name, once=not ring.complete))
            contents[path] = keys.render(name, ring.known)
    return msgspec.structs.replace(
        wanted,
        users=tuple(users),
        directories=tuple(directories),
        files=tuple(files),
        contents=contents,
        notes=tuple(notes),
    )


def _account(name: str, home: str, groups: tuple[str, ...], exclusive: tuple[str, ...]) -> User:
    return User(name=name, group=name, groups=groups, exclusive=exclusive, home=home, personal=True)


def _folder(path: str, owner: str) -> Directory:
    return Directory(path=path, owner=owner, group=owner, mode="0700", area="accounts")


def _keys_file(path: str, owner: str, *, once: bool) -> File:
    return File(
        path=path, source="", owner=owner, group=owner, mode="0600", area="accounts", once=once
    )
