"""Types for the question what is in effect on a host: the request and the answer."""

from __future__ import annotations

from typing import Literal

import msgspec

from opstasks.core.fields import Line, Small
from opstasks.deploy.source import CheckoutSource
from opstasks.fleet.program import Program


class AskedCheckout(msgspec.Struct, frozen=True):
    """A checkout, and the home of the account that uses it."""

    path: str
    home: str


class EffectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask.

    `units` are full names or patterns; `sshd` are keys of sshd's configuration in lower case.
    `sshd_text` is the text of its described files. `accounts` are tried with each Match. `sudoers`
    are the described rules, `sudoers_files` their paths. `service_accounts` may run nothing but
    described units.
    """

    units: tuple[str, ...] = ()
    sshd: tuple[str, ...] = ()
    sshd_text: str = ""
    accounts: tuple[str, ...] = ()
    sudoers: str = ""
    sudoers_files: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    checkouts: tuple[AskedCheckout, ...] = ()


class UnitEffect(msgspec.Struct, frozen=True):
    """A unit in systemd's words: its file, its drop-ins with the keys that they set.

    `reload`: systemd has not read the present files. `runs_as` is the account of its main process,
    "" without one; `command` is known for sshd only.
    """

    state: Line = "loaded"
    fragment: Line = ""
    drop_ins: dict[Line, tuple[Line, ...]] = {}
    reload: bool = False
    user: Line = "root"
    group: Line = ""
    runs_as: Line = ""
    command: Line = ""


class SshdLine(msgspec.Struct, frozen=True):
    """A line of sshd's configuration; `match` is the condition of its block, "" without one."""

    path: Line
    line: Small
    key: Line
    value: Line
    match: Line = ""

    @property
    def place(self) -> str:
        """For people: the file and the line."""
        return f"{self.path}:{self.line}"


class SshdEffect(msgspec.Struct, frozen=True):
    """sshd's values by key; the lines that set them, in order; values for single accounts.

    `described` are the values that the described files alone would give. `unread` are files of
    which sshd may read more than could be read.
    """

    values: dict[Line, Line] = {}
    described: dict[Line, Line] = {}
    lines: tuple[SshdLine, ...] = ()
    accounts: dict[Line, dict[Line, Line]] = {}
    options: Line = ""
    unread: tuple[Line, ...] = ()
    problem: Line = ""


class SudoLine(msgspec.Struct, frozen=True):
    """A line of a file of sudo's rules that is not described."""

    path: Line
    line: Small
    text: Line


class SudoEffect(msgspec.Struct, frozen=True):
    """sudo's rules beyond the described ones; lines that they may come from; other sources."""

    rules: tuple[Line, ...] = ()
    lines: tuple[SudoLine, ...] = ()
    plugins: tuple[Line, ...] = ()
    problem: Line = ""


class LoginEffect(msgspec.Struct, frozen=True):
    """An account that can perhaps log in: the state of its password, and its files with keys.

    `twins` are other accounts with the same id.
    """

    name: Line
    uid: Small
    state: Literal["set", "locked"] = "locked"
    keys: tuple[Line, ...] = ()
    twins: tuple[Line, ...] = ()


class JoinEffect(msgspec.Struct, frozen=True):
    """A way to join a group without being listed in /etc/group.

    `line` is the name of the line that allows it: another one may have the same id as `group`.
    `name` is the account, "" for everyone who knows the group's password.
    """

    group: Line
    line: Line
    way: Literal["administrator", "member", "password"]
    name: Line = ""


class LoginsEffect(msgspec.Struct, frozen=True):
    """The accounts that can perhaps log in, the members of groups, and who else can join them."""

    accounts: tuple[LoginEffect, ...] = ()
    groups: dict[Line, tuple[Line, ...]] = {}
    joiners: tuple[JoinEffect, ...] = ()


class EffectFacts(msgspec.Struct, frozen=True):
    """Everything that is in effect; the defaults describe a host where nothing is in effect.

    `ways` are other ways to make root run something; `persistence` are paths by which a
    service account can run programs by itself.
    """

    units: dict[Line, UnitEffect] = {}
    ways: tuple[Line, ...] = ()
    sshd: SshdEffect = SshdEffect()
    sudo: SudoEffect = SudoEffect()
    logins: LoginsEffect = LoginsEffect()
    persistence: tuple[Line, ...] = ()
    checkouts: dict[Line, CheckoutSource] = {}


EFFECT = Program("opstasks.manage.onhost.effect", EffectRequest, EffectFacts)
