"""Runs on the host as root: changes groups and accounts."""

import contextlib
import os
from pathlib import Path
from typing import Any

from opstasks.manage.onhost.running import run
from opstasks.onhost.safe_files import parent_of

Action = dict[str, Any]


def group(action: Action) -> None:
    """Create a group, or change its id."""
    gid = ["--gid", str(action["gid"])] if action["gid"] else []
    run("groupmod" if action["exists"] else "groupadd", *gid, action["name"])


def user(action: Action) -> None:
    """Create an account, or change it."""
    uid = ["--uid", str(action["uid"])] if action["uid"] else []
    common = [*uid, "--home", action["home"], "--shell", action["shell"]]
    groups = ["--groups", ",".join(action["groups"])] if action["groups"] else []
    if action["exists"]:
        more = ["--append", *groups] if groups else []
        run("usermod", *common, "--gid", action["group"], *more, action["name"])
        if action["is_disabled"]:
            first_login(action["name"])
    elif action["personal"]:
        # The old home of a deleted account with this name keeps its files.
        home = ["--create-home", "--user-group"]
        run("useradd", *home, "--expiredate", "1", *common, *groups, action["name"])
        first_login(action["name"])
    else:
        # No skeleton files: the home's contents are described.
        own = ["--no-create-home", "--gid", action["group"]]
        run("useradd", *own, *common, *groups, action["name"])


def first_login(name: str) -> None:
    """Make a person choose a password at the first login, for which they need their key.

    Enables the account last: after an interruption the next run finds it disabled and repeats this.
    """
    run("passwd", "--quiet", "--delete", name)
    run("chage", "--lastday", "0", name)
    run("chage", "--expiredate", "-1", name)


def member(action: Action) -> None:
    """Add an account to a group, or remove it."""
    run("gpasswd", "--add" if action["joins"] else "--delete", action["user"], action["group"])


def disable(action: Action) -> None:
    """Disable an account: no keys, groups, password or shell; nothing else is deleted."""
    name = action["name"]
    folder_of_keys = f"{Path(f'~{name}').expanduser()}/.ssh"
    for file_of_keys in ("authorized_keys", "authorized_keys2"):
        path = f"{folder_of_keys}/{file_of_keys}"
        with contextlib.suppress(FileNotFoundError), parent_of(path) as (folder, last):
            os.unlink(last, dir_fd=folder)
    rest = ["--lock", "--expiredate", "1", "--shell", "/usr/sbin/nologin"]
    run("usermod", "--groups", "", *rest, name)
