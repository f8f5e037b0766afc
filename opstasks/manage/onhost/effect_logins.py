"""Runs on the host as root: who can log in, and who is in which group; changes nothing."""

import grp
import pwd
import re
import stat
from pathlib import Path
from typing import Any

from opstasks.manage.onhost.account_facts import entries
from opstasks.onhost.plain_text import names_in
from opstasks.onhost.safe_files import look

Facts = dict[str, Any]
SHADOW = "/etc/shadow"
MOST_ACCOUNTS = 500
KEYS = (".ssh/authorized_keys", ".ssh/authorized_keys2")
CRONTABS = ("/var/spool/cron/crontabs", "/var/spool/cron")
LINGER = "/var/lib/systemd/linger"


def logins(places: list[str], groups: list[str]) -> Facts:
    """Accounts with a key, a password or the id 0; members of groups, also by their own group.

    `places` are the files in which sshd looks for keys, as in its configuration.
    """
    # With a directory service, several sources may have the same account: the first one counts.
    by_name: dict[str, pwd.struct_passwd] = {}
    for one in pwd.getpwall():
        by_name.setdefault(one.pw_name, one)
    accounts = list(by_name.values())
    hashes = {name: fields[1] for name, fields in entries(SHADOW).items()}
    found = [facts(entry, hashes.get(entry.pw_name, "*"), places) for entry in accounts]
    names: dict[int, list[str]] = {}
    for entry in found:
        names.setdefault(entry["uid"], []).append(entry["name"])
    for entry in found:
        entry["twins"] = [name for name in names[entry["uid"]] if name != entry["name"]][:20]
    telling = [
        e for e in found if e["uid"] == 0 or e["keys"] or e["twins"] or e["state"] != "locked"
    ]
    return {
        "accounts": telling[:MOST_ACCOUNTS],
        "groups": {name: members(name, accounts) for name in groups},
    }


def facts(entry: pwd.struct_passwd, shadow: str, places: list[str]) -> Facts:
    """An account: its id, the state of its password, and its files with keys."""
    field = entry.pw_passwd
    # "x" means that the hash is in the shadow file; anything else is the hash itself.
    return {
        "name": entry.pw_name,
        "uid": entry.pw_uid,
        "state": password_state(shadow if field == "x" else field),
        "keys": [path for path in key_files(entry, places) if has_content(path)],
    }


def key_files(entry: pwd.struct_passwd, places: list[str]) -> list[str]:
    """The files that may have keys for an account."""
    marks = {"%%": "%", "%h": entry.pw_dir, "%u": entry.pw_name, "%U": str(entry.pw_uid)}
    found = [
        re.sub("%[%huU]", lambda match: marks[match[0]], place)
        for place in (*KEYS, *places)
        if place != "none"
    ]
    paths = [path if path.startswith("/") else f"{entry.pw_dir}/{path}" for path in found]
    return list(dict.fromkeys(paths))


def has_content(path: str) -> bool:
    """Whether a path has content; links count, because they may lead to keys."""
    try:
        info = look(path)
    except OSError:
        return True
    return info is not None and info.st_size > 0


def password_state(field: str) -> str:
    """The state of a password: "set", or "locked" if no password can match.

    Empty ones are found by `account_facts.open_accounts`.
    """
    # A hash begins with $, or is one of the 13 characters of old systems.
    is_set = field[:1] == "$" or (field[:1] not in ("!", "*") and len(field) >= 13)
    return "set" if is_set else "locked"


def members(name: str, accounts: list[pwd.struct_passwd]) -> list[str]:
    """The members of a group: those listed, and those with it as their primary group.

    Only the id counts for the system, so members of other lines with the same id are members, too.
    """
    try:
        group = grp.getgrnam(name)
    except KeyError:
        return []
    same = [other for other in grp.getgrall() if other.gr_gid == group.gr_gid]
    listed = {member for one in (group, *same) for member in one.gr_mem}
    own = {entry.pw_name for entry in accounts if entry.pw_gid == group.gr_gid}
    return sorted(listed | own)[:MOST_ACCOUNTS]


def persistence(names: list[str]) -> list[str]:
    """Programs that run for service accounts although no described unit starts them."""
    found = []
    for name in names:
        found += [f"{place}/{name}" for place in CRONTABS if Path(place, name).is_file()]
        if Path(LINGER, name).exists():
            found.append(f"{LINGER}/{name}")
        try:
            home = pwd.getpwnam(name).pw_dir
        except KeyError:
            continue
        found += inside(f"{home}/.config/systemd/user")
        ssh = f"{home}/.ssh"
        found += [path for path in inside(ssh) if path in (ssh, f"{ssh}/rc", f"{ssh}/environment")]
    return found[:50]


def inside(place: str) -> list[str]:
    """What is in a folder; the folder itself if a link that root does not follow leads to it."""
    try:
        info = look(place)
    except OSError:
        return [place]
    if info and stat.S_ISLNK(info.st_mode):
        return [place]
    return [f"{place}/{name}" for name in names_in(place)]
