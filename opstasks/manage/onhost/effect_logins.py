"""Runs on the host as root: who can log in, and who is in which group; changes nothing."""

import grp
import json
import pwd
import re
import stat
from pathlib import Path
from typing import Any

from opstasks.manage.onhost import account_facts
from opstasks.onhost.plain_text import names_in, text_of
from opstasks.onhost.safe_files import look

Facts = dict[str, Any]
SHADOW = "/etc/shadow"
MOST_ACCOUNTS = 500
KEYS = (".ssh/authorized_keys", ".ssh/authorized_keys2")
CRONTABS = ("/var/spool/cron/crontabs", "/var/spool/cron")
LINGER = "/var/lib/systemd/linger"
AT_JOBS = ("/var/spool/cron/atjobs", "/var/spool/at")
RUNTIME = "/run/user"
# Below a home: folders whose files make systemd or docker run something as the account, or with
# other variables, and files that do the same for a login and for mail.
FOLDERS = (
    ".config/systemd/user",
    ".config/systemd/user.control",
    ".config/environment.d",
    ".config/user-tmpfiles.d",
    ".local/share/systemd/user",
    ".local/share/user-tmpfiles.d",
    ".local/share/dbus-1/services",
    ".docker/cli-plugins",
)
FILES = (".config/systemd/user.conf", ".pam_environment", ".forward", ".procmailrc")
# Below a home: where each version of Python looks for packages, and what it runs there whenever it
# starts.
PYTHON = ".local/lib"
_VERSION = re.compile(r"python3\.\d{1,2}t?")
_AT_START = re.compile(r".*\.pth|(site|user)customize(\..*)?", re.DOTALL)
# Docker's settings in a home; keys of them, in lower case, that neither run a program nor lead to
# another docker.
DOCKER = ".docker/config.json"
_PLAIN_KEYS = re.compile(r"auths|detachkeys|[a-z]+format")
# The same below the folder of a systemd of the account that is running.
RUNTIME_FOLDERS = ("systemd/user", "systemd/user.control", "systemd/transient")


def logins(places: list[str], groups: list[str]) -> Facts:
    """Accounts with a key, a password or the id 0; members of groups, also by their own group.

    `places` are the files in which sshd looks for keys, as in its configuration.
    """
    # With a directory service, several sources may have the same account: the first one counts.
    by_name: dict[str, pwd.struct_passwd] = {}
    for one in pwd.getpwall():
        by_name.setdefault(one.pw_name, one)
    accounts = list(by_name.values())
    hashes = {name: fields[1] for name, fields in account_facts.entries(SHADOW).items()}
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
        "joiners": [entry for name in groups for entry in joined(name)][:MOST_ACCOUNTS],
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
    """The members of a group: those listed, and those with it as their primary group."""
    same = same_id(name)
    listed = {member for one in same for member in one.gr_mem}
    gids = {one.gr_gid for one in same}
    own = {entry.pw_name for entry in accounts if entry.pw_gid in gids}
    return sorted(listed | own)[:MOST_ACCOUNTS]


def joined(name: str) -> list[Facts]:
    """Who can join a group without being listed as a member: the way, the account, and the line."""
    found = [
        {"group": name, "line": one.gr_name, "way": way, "name": who}
        for one in same_id(name)
        for way, who in account_facts.joiners(one)
    ]
    return [entry for place, entry in enumerate(found) if entry not in found[:place]]


def same_id(name: str) -> list[grp.struct_group]:
    """A group, and the other lines with its id: only the id counts for the system."""
    try:
        group = grp.getgrnam(name)
    except KeyError:
        return []
    others = [one for one in grp.getgrall() if one.gr_gid == group.gr_gid]
    return [group, *(one for one in others if one != group)]


def persistence(names: list[str]) -> list[str]:
    """Programs that run for service accounts although no described unit starts them."""
    found = []
    for name in names:
        found += [f"{place}/{name}" for place in CRONTABS if Path(place, name).is_file()]
        if Path(LINGER, name).exists():
            found.append(f"{LINGER}/{name}")
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        found += at_jobs(account.pw_uid)
        for place in RUNTIME_FOLDERS:
            found += inside(f"{RUNTIME}/{account.pw_uid}/{place}")
        found += of_home(account.pw_dir)
    return found[:50]


def at_jobs(uid: int) -> list[str]:
    """The jobs of `at` for an account: it owns their files."""
    paths = [f"{place}/{name}" for place in AT_JOBS for name in names_in(place)]
    return [path for path in paths if owner_of(path) == uid]


def owner_of(path: str) -> int:
    """The owner's id; -1 if there is nothing that can be looked at."""
    try:
        info = look(path)
    except OSError:
        return -1
    return info.st_uid if info and stat.S_ISREG(info.st_mode) else -1


def of_home(home: str) -> list[str]:
    """What in a home makes something run as its account."""
    found = [path for place in FOLDERS for path in inside(f"{home}/{place}")]
    found += [f"{home}/{name}" for name in FILES if has_content(f"{home}/{name}")]
    found += of_python(f"{home}/{PYTHON}")
    docker = f"{home}/{DOCKER}"
    found += [docker] if has_content(docker) and not is_plain(text_of(docker)) else []
    ssh = f"{home}/.ssh"
    return found + [p for p in inside(ssh) if p in (ssh, f"{ssh}/rc", f"{ssh}/environment")]


def of_python(place: str) -> list[str]:
    """What Python runs whenever it starts as the account, and links that may lead to such files."""
    found = []
    for folder in inside(place):
        packages = f"{folder}/site-packages"
        if folder == place:
            found.append(place)
        elif _VERSION.fullmatch(Path(folder).name):
            names = inside(packages)
            found += [p for p in names if p == packages or _AT_START.fullmatch(Path(p).name)]
    return found


def is_plain(text: str | None) -> bool:
    """Whether docker's settings only have passwords and the form of its output."""
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        return False
    # Go does not distinguish between letters of either case in keys.
    return isinstance(found, dict) and all(_PLAIN_KEYS.fullmatch(key.lower()) for key in found)


def inside(place: str) -> list[str]:
    """What is in a folder; the folder itself if a link that root does not follow leads to it."""
    try:
        info = look(place)
    except OSError:
        return [place]
    if info and stat.S_ISLNK(info.st_mode):
        return [place]
    return [f"{place}/{name}" for name in names_in(place)]
