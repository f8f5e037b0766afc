"""Runs on the host as root: how the things that are asked about stand.

`main` gets a JSON request and prints a JSON answer. Changes nothing; reads no secret.
"""

import grp
import hashlib
import json
import pwd
import stat
import subprocess
from pathlib import Path
from typing import Any


def group(name: str) -> dict[str, Any] | None:
    """A group's id."""
    try:
        return {"gid": grp.getgrnam(name).gr_gid}
    except KeyError:
        return None


def user(name: str) -> dict[str, Any] | None:
    """An account, with the groups it is in besides its own."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    try:
        own = grp.getgrgid(found.pw_gid).gr_name
    except KeyError:
        own = str(found.pw_gid)
    return {
        "uid": found.pw_uid,
        "group": own,
        "groups": sorted(g.gr_name for g in grp.getgrall() if name in g.gr_mem),
        "home": found.pw_dir,
        "shell": found.pw_shell,
    }


def name_of(number: int, lookup: Any) -> str:
    """The name of a user or group id, or the number."""
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def path(name: str, wanted_sha: str, readable: bool) -> dict[str, Any] | None:
    """A file or directory: kind, owner, group, mode; the text only where it differs."""
    place = Path(name)
    try:
        info = place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    facts: dict[str, Any] = {
        "kind": kind(info.st_mode),
        "owner": name_of(info.st_uid, pwd.getpwuid),
        "group": name_of(info.st_gid, grp.getgrgid),
        "mode": f"{stat.S_IMODE(info.st_mode):04o}",
    }
    if facts["kind"] == "file" and readable:
        data = place.read_bytes()
        facts["sha256"] = hashlib.sha256(data).hexdigest()
        if facts["sha256"] != wanted_sha:
            facts["text"] = data[:200_000].decode("utf-8", "replace")
            facts["changed"] = int(info.st_mtime)
    return facts


def kind(mode: int) -> str:
    """What a path is; a link counts as something else: we would write through it."""
    if stat.S_ISREG(mode):
        return "file"
    return "directory" if stat.S_ISDIR(mode) else "other"


def unit(name: str) -> dict[str, str]:
    """Whether a unit is known, enabled and running."""
    done = subprocess.run(
        ["systemctl", "show", name, "--property=LoadState,UnitFileState,ActiveState"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def checkout(name: str) -> bool:
    """Whether there is a git checkout."""
    return Path(name, ".git").exists()


def main(request: str) -> None:
    """Answer a request."""
    asked = json.loads(request)
    print(
        json.dumps(
            {
                "groups": {name: group(name) for name in asked["groups"]},
                "users": {name: user(name) for name in asked["users"]},
                "paths": {item[0]: path(*item) for item in asked["paths"]},
                "checkouts": {name: checkout(name) for name in asked["checkouts"]},
                "units": {name: unit(name) for name in asked["units"]},
            }
        )
    )
