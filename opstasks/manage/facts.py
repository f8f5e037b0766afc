"""The state of a host, as types: the answer of `onhost/inspect.py`. None means: does not exist."""

from __future__ import annotations

import hashlib

import msgspec

from opstasks.core.fields import Count, Line, Moment, Seconds, Small, Text
from opstasks.manage.effect_facts import EffectFacts


def sha256(text: str) -> str:
    """The hash by which contents are compared."""
    return hashlib.sha256(text.encode()).hexdigest()


class GroupFacts(msgspec.Struct, frozen=True):
    """A group: its id, its listed members, and who else can join: `administrator x`, a password."""

    gid: Small
    members: tuple[Line, ...]
    joiners: tuple[Line, ...] = ()


class UserFacts(msgspec.Struct, frozen=True):
    """An account; `groups` are its other groups. `locked`: it has no password that anyone knows."""

    uid: Small
    group: Line
    groups: tuple[Line, ...]
    home: Line
    shell: Line
    locked: bool
    expired: bool


class PathFacts(msgspec.Struct, frozen=True):
    """What is at a path: its kind ("file", "directory" or other text), owner, group and mode.

    `sha256` is known for files that may be read, `text` only for those that differ. `changed_at` is
    in seconds since the epoch, 0 if unknown.
    """

    kind: Line
    owner: Line
    group: Line
    mode: Line
    changed_at: Moment = 0
    sha256: Line = ""
    text: Text = ""


class TreeFacts(msgspec.Struct, frozen=True):
    """How many entries below a directory have wrong rights, and the first few of them."""

    wrong: Count
    examples: tuple[Line, ...]


class UnitFacts(msgspec.Struct, frozen=True):
    """A unit in systemd's own words; "" for missing values."""

    file_state: Line
    active_state: Line


class LastUse(msgspec.Struct, frozen=True):
    """Who last used a word in a sudo command, and when (seconds since the epoch, 0 if unknown)."""

    who: Line
    at: Moment


class ManageFacts(msgspec.Struct, frozen=True):
    """The state of everything that a description names, by name or path.

    `login` is the account that the operator logged in with. `keyed` are accounts of people with
    keys, `marked` those of them whose keys `manage` wrote. `open_accounts` are all accounts with an
    empty password. `refusals` are contents that the
    host's own check does not accept, and why. `settings` are the lines that a setting's pattern
    finds. `is_unproven`: a change of the login files was never confirmed. `effect` is what is in
    effect, None if it was not asked for.
    """

    login: Line
    groups: dict[Line, GroupFacts | None]
    users: dict[Line, UserFacts | None]
    keyed: tuple[Line, ...]
    marked: tuple[Line, ...]
    paths: dict[Line, PathFacts | None]
    refusals: dict[Line, Text]
    settings: dict[Line, tuple[Line, ...] | None]
    trees: dict[Line, TreeFacts]
    checkouts: dict[Line, bool]
    packages: dict[Line, bool]
    upgradable: tuple[Line, ...]
    probes: dict[Line, bool]
    units: dict[Line, UnitFacts]
    last_uses: dict[Line, LastUse]
    is_unproven: bool
    open_accounts: tuple[Line, ...]
    lists_age_s: Seconds = 0
    effect: EffectFacts | None = None
