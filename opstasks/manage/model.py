"""What a description may say, as types: one class per kind of thing on a host."""

from __future__ import annotations

from typing import Literal

import msgspec

Area = Literal[
    "packages",
    "accounts",
    "directories",
    "config",
    "system",
    "service",
    "code",
    "database",
    "access",
]
AREAS: tuple[Area, ...] = (
    "packages",
    "accounts",
    "directories",
    "config",
    "system",
    "service",
    "code",
    "database",
    "access",
)


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything that a description lists."""


class Options(Entry, frozen=True, kw_only=True):
    """How a backend is managed.

    `packages`: "manage", or "report" where no archive can be reached: then what is missing is
    said, and left. `upgrade` brings every package up to date. `key_source` is an https address
    with ``{name}`` in it that answers with a person's public keys. `known_accounts` may have
    keys although no role lists them.
    """

    packages: Literal["manage", "report"] = "manage"
    upgrade: bool = False
    key_source: str = ""
    known_accounts: tuple[str, ...] = ()


class Package(Entry, frozen=True, kw_only=True):
    """A package that must be there, or must not; "any" takes an entry of the base back."""

    name: str
    state: Literal["present", "absent", "any"] = "present"
    area: Area = "packages"


class Group(Entry, frozen=True, kw_only=True):
    """A group with a fixed id (0: whatever it has, it must only be there).

    Nobody else may be in an `exact` group: who is not described there is taken out. Of another
    one that a role gives, only people who left every list are.
    """

    name: str
    gid: int = 0
    exact: bool = False
    area: Area = "accounts"


class Role(Entry, frozen=True, kw_only=True):
    """A role of people; `groups` are what a person has by it."""

    name: str
    groups: tuple[str, ...]


class User(Entry, frozen=True, kw_only=True):
    """An account; `groups` are those it must be in besides its own; `uid` 0 is any.

    `personal` accounts choose their password at the first login; of `exclusive` groups such an
    account has only those in `groups`.
    """

    name: str
    uid: int = 0
    group: str
    groups: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    home: str
    shell: str = "/bin/bash"
    personal: bool = False
    area: Area = "accounts"


class Directory(Entry, frozen=True, kw_only=True):
    """A directory with owner and mode (an octal string)."""

    path: str
    owner: str
    group: str
    mode: str
    area: Area = "directories"


class File(Entry, frozen=True, kw_only=True):
    """A file; with `once` only its owner and mode are kept after it was created.

    `check` is a command that must accept the new content (``@file@``), `verify` one that must
    accept the whole once it is in place; `backup` keeps what was replaced beside it, as
    ``.bak-`` with the time; `secret` contents are never read or shown; `reload` is "daemon" for
    systemd itself, or a unit. `access` says that people get in by it: it is put in place last,
    and put back unless a fresh connection then succeeds.
    """

    path: str
    source: str
    owner: str
    group: str
    mode: str
    area: Area = "config"
    once: bool = False
    backup: bool = False
    secret: bool = False
    access: bool = False
    reload: str = ""
    check: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()


class Setting(Entry, frozen=True, kw_only=True):
    """One line of a file that is not ours: the line that `match` finds (a regular expression)."""

    name: str
    path: str
    match: str
    line: str
    area: Area = "system"


class Rights(Entry, frozen=True, kw_only=True):
    """Owner and mode of a file that may be absent, and whose content is not ours."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: str
    area: Area = "system"


class Removal(Entry, frozen=True, kw_only=True):
    """A file that must not be there; `access` and `reload` as with a file."""

    path: str
    area: Area = "system"
    access: bool = False
    reload: str = ""


class Tree(Entry, frozen=True, kw_only=True):
    """Rights of everything below a directory; links are left alone.

    Files of a `tolerated` mode are left as they are.
    """

    path: str
    owner: str
    group: str
    files: str
    directories: str
    tolerated: tuple[str, ...] = ()
    area: Area = "directories"


class Checkout(Entry, frozen=True, kw_only=True):
    """A git checkout that must exist; where it stands afterwards is `deploy`'s business."""

    path: str
    url: str
    ref: str
    owner: str
    area: Area = "code"


class Creation(Entry, frozen=True, kw_only=True):
    """A shell command, run once as `owner`, that makes `path`."""

    path: str
    run: str
    owner: str
    area: Area = "database"


class Probe(Entry, frozen=True, kw_only=True):
    """A state that a command tests (exit code 0: as it should be) and another one mends."""

    name: str
    test: tuple[str, ...]
    run: tuple[str, ...]
    area: Area = "service"


class Unit(Entry, frozen=True, kw_only=True):
    """A systemd unit: whether it starts with the host, and how it should stand now."""

    name: str
    enabled: bool = True
    state: Literal["running", "stopped", "any"] = "running"
    area: Area = "service"


class Description(Entry, frozen=True, kw_only=True):
    """Everything a host should have, in the order in which it is made.

    `contents` are the files' by path, `kept` the paths whose content could not be made out this
    time (a key source that did not answer) and stays if it is there; `notes` say why.
    """

    options: Options = Options()
    packages: tuple[Package, ...] = ()
    groups: tuple[Group, ...] = ()
    roles: tuple[Role, ...] = ()
    people: dict[str, tuple[str, ...]] = {}
    users: tuple[User, ...] = ()
    directories: tuple[Directory, ...] = ()
    files: tuple[File, ...] = ()
    settings: tuple[Setting, ...] = ()
    rights: tuple[Rights, ...] = ()
    removals: tuple[Removal, ...] = ()
    trees: tuple[Tree, ...] = ()
    checkouts: tuple[Checkout, ...] = ()
    creations: tuple[Creation, ...] = ()
    probes: tuple[Probe, ...] = ()
    units: tuple[Unit, ...] = ()
    contents: dict[str, str] = {}
    notes: tuple[str, ...] = ()

    def listed(self) -> dict[str, str]:
        """Every person with their role."""
        return {name: role for role, names in self.people.items() for name in names}


# The sections that a host.yaml lists, and the key that tells their entries apart.
SECTIONS: dict[str, tuple[type[Entry], str]] = {
    "packages": (Package, "name"),
    "groups": (Group, "name"),
    "roles": (Role, "name"),
    "users": (User, "name"),
    "directories": (Directory, "path"),
    "files": (File, "path"),
    "settings": (Setting, "name"),
    "rights": (Rights, "path"),
    "removals": (Removal, "path"),
    "trees": (Tree, "path"),
    "checkouts": (Checkout, "path"),
    "creations": (Creation, "path"),
    "probes": (Probe, "name"),
    "units": (Unit, "name"),
}
MAPPINGS = ("options", "people")
