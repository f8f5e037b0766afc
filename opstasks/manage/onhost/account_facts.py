"""Runs on the host as root: groups, accounts and which of them can log in; changes nothing."""

import contextlib
import grp
import os
import pwd
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opstasks.onhost.safe_files import look, read

Facts = dict[str, Any]
# The ids of people's accounts on Debian and Ubuntu; `nobody` has a higher one.
PEOPLE = range(1000, 60000)
GSHADOW = "/etc/gshadow"


def group(name: str) -> Facts | None:
    """A group's id, members, and who else can join; None if it does not exist."""
    try:
        found = grp.getgrnam(name)
    except KeyError:
        return None
    ways = [f"{way} {who}" if who else f"a {way}" for way, who in joiners(found)]
    return {"gid": found.gr_gid, "members": sorted(found.gr_mem), "joiners": ways}


def joiners(found: grp.struct_group, path: str = "") -> list[tuple[str, str]]:
    """Who can join a group without root although they are not listed: the way, and the account.

    These are its administrators, members that only /etc/gshadow lists, and all who know the group's
    password ("password", without an account): `newgrp` and `sg` let them in.
    """
    fields = entries(path or GSHADOW).get(found.gr_name, [])
    if len(fields) < 4:
        fields = ["", found.gr_passwd or "", "", ""]
    # "x" in /etc/group means: see the other file. With an empty one, `newgrp` accepts members only.
    is_open = fields[1] and not fields[1].startswith(("!", "*", "x"))
    administrators = sorted(filter(None, fields[2].split(",")))
    members = sorted({*filter(None, fields[3].split(","))} - set(found.gr_mem))
    return [
        *(("administrator", name) for name in administrators),
        *(("member", name) for name in members),
        *([("password", "")] if is_open else []),
    ]


def user(name: str) -> Facts | None:
    """An account, its other groups, and whether it is disabled; None if it does not exist."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return {
        "uid": found.pw_uid,
        "group": name_of(found.pw_gid, grp.getgrgid),
        "groups": sorted(g.gr_name for g in grp.getgrall() if name in g.gr_mem),
        "home": found.pw_dir,
        "shell": found.pw_shell,
        **shadow(name),
    }


def shadow(name: str, path: str = "/etc/shadow") -> Facts:
    """Whether an account has no usable password, or is expired; its hash is not returned."""
    fields = entries(path).get(name, [])
    if len(fields) < 8:
        # The account was created in part: PAM refuses all logins until the line exists.
        return {"locked": True, "expired": True}
    return {"locked": fields[1].startswith(("!", "*")), "expired": is_past(fields[7])}


def entries(path: str) -> dict[str, list[str]]:
    """The fields of each line of /etc/passwd or /etc/shadow, by name; empty without the file."""
    lines = Path(path).read_text(errors="replace").split("\n") if Path(path).exists() else []
    fields = [line.split(":") for line in lines if ":" in line]
    return {found[0]: found for found in reversed(fields)}


def open_accounts(accounts: str = "/etc/passwd", shadow: str = "/etc/shadow") -> list[str]:
    """Accounts with an empty password: every account of the host can become them with `su`."""
    hashes = entries(shadow)
    found = []
    for name, fields in entries(accounts).items():
        # "x": the password is in the other file. "+" and "-" are not accounts.
        field = hashes.get(name, ["", "x"])[1] if fields[1] == "x" else fields[1]
        if not field and not name.startswith(("+", "-")):
            found.append(name)
    return sorted(found)


def is_past(day: str) -> bool:
    """Whether a day (counted from 1970) is past by the host's clock; false for no day."""
    # Python reads no number of thousands of digits.
    is_day = day.isascii() and day.isdigit() and len(day) < 10
    return is_day and int(day) <= time.time() // 86400


def name_of(number: int, lookup: Callable[[int], Any]) -> str:
    """The name of a user or group id, or else the number."""
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def accounts_with_keys() -> list[str]:
    """People's accounts that have keys to log in with."""
    found = []
    for entry in pwd.getpwall():
        if entry.pw_uid in PEOPLE:
            with contextlib.suppress(OSError):
                info = look(f"{entry.pw_dir}/.ssh/authorized_keys")
                if info is not None and info.st_size:
                    found.append(entry.pw_name)
    return sorted(found)


def marked(names: list[str], mark: str) -> list[str]:
    """The accounts among these with keys that `manage` wrote: they were listed earlier."""
    found = []
    for name in names:
        with contextlib.suppress(OSError, KeyError):
            if read(f"{pwd.getpwnam(name).pw_dir}/.ssh/authorized_keys").startswith(mark.encode()):
                found.append(name)
    return found


def login() -> str:
    """The account of the login, before sudo."""
    return os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name
