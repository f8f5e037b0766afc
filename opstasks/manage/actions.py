"""The actions of a step on the host, as types: one class for each function of `onhost/apply.py`.

Each action is safe to repeat. On the host it is a dictionary; its key ``do`` names the function.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Action(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """Base of all actions."""


# -- packages and accounts -----------------------------------------------------------------------


class ChangePackages(Action, frozen=True, kw_only=True, tag="packages"):
    """Install, purge or upgrade packages; ``refresh`` fetches the package lists, then upgrades."""

    verb: Literal["install", "purge", "upgrade", "refresh"]
    names: tuple[str, ...] = ()


class SetGroup(Action, frozen=True, kw_only=True, tag="group"):
    """Create a group, or change its id; `gid` 0 means any id.

    `closes`: remove the group's password and administrators, through which others can join.
    """

    name: str
    gid: int
    exists: bool
    closes: bool = False


class SetUser(Action, frozen=True, kw_only=True, tag="user"):
    """Create an account, or change it; `uid` 0 means any id.

    `is_disabled`: the account exists but is disabled, and is enabled again, without its old
    password. `is_open`: its password is empty, and is removed.
    """

    name: str
    uid: int
    group: str
    groups: tuple[str, ...]
    home: str
    shell: str
    personal: bool
    exists: bool
    is_disabled: bool = False
    is_open: bool = False


class DisableUser(Action, frozen=True, kw_only=True, tag="disable_user"):
    """Remove keys, groups, password and shell of an account; delete nothing else."""

    name: str


class SetMember(Action, frozen=True, kw_only=True, tag="member"):
    """Add an account to a group (`joins`), or remove it."""

    group: str
    user: str
    joins: bool


# -- files ---------------------------------------------------------------------------------------


class SetDirectory(Action, frozen=True, kw_only=True, tag="directory"):
    """Create a directory, or change its owner, group and mode (octal)."""

    path: str
    owner: str
    group: str
    mode: str


class SetRights(Action, frozen=True, kw_only=True, tag="rights"):
    """Change owner, group and mode (octal) of a file."""

    path: str
    owner: str
    group: str
    mode: str


class WriteFile(Action, frozen=True, kw_only=True, tag="file"):
    """Write a file that `check` accepts (``@file@`` is the new one); run `verify` afterwards.

    `replaces` is what the plan showed: the SHA-256 of the present file, another kind of thing, or
    "absent"; the action fails if the host has something else. The old content is kept, beside the
    file (`backup`) or in the folder `kept_in`. `reload` is "daemon" for systemd itself, or a unit.
    """

    path: str
    owner: str
    group: str
    mode: str
    content: str
    replaces: str
    kept_in: str
    backup: bool = False
    check: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    reload: str = ""


class RemoveFile(Action, frozen=True, kw_only=True, tag="remove"):
    """Delete a file; `replaces`, `kept_in` and `reload` as with `WriteFile`."""

    path: str
    replaces: str
    kept_in: str
    reload: str = ""


class SetLine(Action, frozen=True, kw_only=True, tag="setting"):
    """Replace the line of a file that `match` (a regular expression) finds with `line`.

    `replaces` are the lines that the plan showed; `kept_in` as with `WriteFile`.
    """

    path: str
    match: str
    line: str
    replaces: tuple[str, ...]
    kept_in: str


class SetTreeRights(Action, frozen=True, kw_only=True, tag="tree"):
    """Change owner, group and modes of everything below a directory, except links."""

    path: str
    owner: str
    group: str
    files: str
    directories: str
    tolerated: tuple[str, ...]


# -- service -------------------------------------------------------------------------------------


class CloneRepository(Action, frozen=True, kw_only=True, tag="checkout"):
    """Clone a git repository as `owner`."""

    path: str
    url: str
    ref: str
    owner: str


class SetOrigin(Action, frozen=True, kw_only=True, tag="origin"):
    """Set the address from which a checkout fetches, as `owner`."""

    path: str
    url: str
    owner: str


class CreatePath(Action, frozen=True, kw_only=True, tag="create"):
    """Run a shell command as `owner`, which creates `path`."""

    path: str
    run: str
    owner: str


class FixProbe(Action, frozen=True, kw_only=True, tag="probe"):
    """Run a command unless `test` succeeds; `test` has to succeed afterwards."""

    test: tuple[str, ...]
    run: tuple[str, ...]


class EnableUnit(Action, frozen=True, kw_only=True, tag="enable"):
    """Make a unit start with the host."""

    name: str


class DisableUnit(Action, frozen=True, kw_only=True, tag="disable_unit"):
    """Make a unit not start with the host."""

    name: str


class StartUnit(Action, frozen=True, kw_only=True, tag="start"):
    """Start a unit.

    With a `fragment`: only if systemd uses this file, no other drop-ins, and this account.
    """

    name: str
    fragment: str = ""
    drop_ins: tuple[str, ...] = ()
    user: str = ""


class StopUnit(Action, frozen=True, kw_only=True, tag="stop"):
    """Stop a unit."""

    name: str


class ProveAccess(Action, frozen=True, kw_only=True, tag="nothing"):
    """Change nothing: the step only needs the fresh connection that follows access steps."""


AnyAction = (
    ChangePackages
    | SetGroup
    | SetUser
    | DisableUser
    | SetMember
    | SetDirectory
    | SetRights
    | WriteFile
    | RemoveFile
    | SetLine
    | SetTreeRights
    | CloneRepository
    | SetOrigin
    | CreatePath
    | FixProbe
    | EnableUnit
    | DisableUnit
    | StartUnit
    | StopUnit
    | ProveAccess
)
# Slow actions run alone, so that the operator sees the progress.
SLOW = (ChangePackages, CloneRepository, CreatePath, FixProbe, StartUnit)
