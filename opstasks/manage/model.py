"""The content of a description, as types: one class per kind of thing on a host."""

from __future__ import annotations

from typing import Annotated, Literal

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


# The id of an account or a group; the highest number of 32 bits means "none" for the system.
AccountId = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 2)]


class ManageEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all entries of a description."""


class BackendOptions(ManageEntry, frozen=True, kw_only=True):
    """How a backend is managed.

    `packages`: "manage", or "report" for a host without a package archive: then missing packages
    are only reported. `upgrade` upgrades every package. `key_source` is an https address with
    ``{name}`` in it that answers with a person's public keys.
    `known_accounts` may have keys, a password and rights although no role lists them. `requires` is
    a path that only the right hosts have: a plan for any other host is refused.
    """

    packages: Literal["manage", "report"] = "manage"
    upgrade: bool = False
    key_source: str = ""
    known_accounts: tuple[str, ...] = ()
    requires: str = ""


class Package(ManageEntry, frozen=True, kw_only=True):
    """A package that must be present or absent; "any" removes an entry of the base."""

    name: str
    state: Literal["present", "absent", "any"] = "present"
    area: Area = "packages"


class Group(ManageEntry, frozen=True, kw_only=True):
    """A group with a fixed id (0: any id).

    Only described accounts may be in an `exact` group: others are removed from it. From the other
    groups of a role, only people who are in no list any more are removed.
    """

    name: str
    gid: AccountId = 0
    exact: bool = False
    area: Area = "accounts"


class Role(ManageEntry, frozen=True, kw_only=True):
    """A role of people, with the groups that it gives."""

    name: str
    groups: tuple[str, ...]


class User(ManageEntry, frozen=True, kw_only=True):
    """An account; `groups` are the other groups it must be in; `uid` 0 means any.

    `personal` accounts begin without a password, and log in with keys. Of the `exclusive` groups,
    an account has only those in `groups`.
    """

    name: str
    uid: AccountId = 0
    group: str
    groups: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    home: str
    shell: str = "/bin/bash"
    personal: bool = False
    area: Area = "accounts"


class Directory(ManageEntry, frozen=True, kw_only=True):
    """A directory with owner and mode (an octal string)."""

    path: str
    owner: str
    group: str
    mode: str
    area: Area = "directories"


class File(ManageEntry, frozen=True, kw_only=True):
    """A file; with `once`, only its owner and mode are managed after it was created.

    `check` is a command that must accept the new content (``@file@``), `verify` one that must
    accept all files once it is in place. `backup` keeps an old content beside the file, as
    ``.bak-`` with the time, and not in a folder of root; `secret` contents are never read or shown;
    `reload` is "daemon" for systemd itself, or a unit. `access` marks a login file: it is written
    last, and the old file is restored unless a fresh connection then succeeds.
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


class Setting(ManageEntry, frozen=True, kw_only=True):
    """One line of a file of the system: the line that `match` finds (a regular expression)."""

    name: str
    path: str
    match: str
    line: str
    area: Area = "system"


class Rights(ManageEntry, frozen=True, kw_only=True):
    """Owner and mode of a file of the system, which may be absent."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: str
    area: Area = "system"


class Removal(ManageEntry, frozen=True, kw_only=True):
    """A file that must not exist; `access` and `reload` as with a file."""

    path: str
    area: Area = "system"
    access: bool = False
    reload: str = ""


class Tree(ManageEntry, frozen=True, kw_only=True):
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


class Checkout(ManageEntry, frozen=True, kw_only=True):
    """A git checkout that must exist; later `deploy` decides its commit."""

    path: str
    url: str
    ref: str
    owner: str
    area: Area = "code"


class Creation(ManageEntry, frozen=True, kw_only=True):
    """A shell command, run once as `owner`, that creates `path`."""

    path: str
    run: str
    owner: str
    area: Area = "database"


class Probe(ManageEntry, frozen=True, kw_only=True):
    """A state that one command tests (exit code 0: right) and another one fixes."""

    name: str
    test: tuple[str, ...]
    run: tuple[str, ...]
    area: Area = "service"


class Unit(ManageEntry, frozen=True, kw_only=True):
    """A systemd unit: whether it starts with the host, and its state now."""

    name: str
    enabled: bool = True
    state: Literal["running", "stopped", "any"] = "running"
    area: Area = "service"


class Description(ManageEntry, frozen=True, kw_only=True):
    """Everything that a host should have, in the order in which it is created.

    `contents` are the contents of `files` by path; `notes` are for the operator. Below the folder
    `kept_in`, the host keeps the old contents of files that are replaced.
    """

    options: BackendOptions = BackendOptions()
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
    kept_in: str = "/var/lib/opstasks/replaced"
    notes: tuple[str, ...] = ()

    def listed(self) -> dict[str, str]:
        """Every person with their role."""
        return {name: role for role, names in self.people.items() for name in names}


# The sections of a host.yaml that are lists, and the key that identifies their entries.
SECTIONS: dict[str, tuple[type[ManageEntry], str]] = {
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
