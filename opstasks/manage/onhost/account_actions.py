"""Runs on the host as root: changes groups and accounts."""

import contextlib
import grp
import os
from pathlib import Path
from typing import Any

from opstasks.manage.onhost.account_facts import joiners
from opstasks.manage.onhost.running import run
from opstasks.onhost.protocol import HostFailure
from opstasks.onhost.safe_files import parent_of

Action = dict[str, Any]
# In place of a password's hash: no password matches it. An empty hash would let everybody log in.
UNUSABLE = "*"


def group(action: Action) -> None:
    """Create a group, or change its id; only root may add members."""
    gid = ["--gid", str(action["gid"])] if action["gid"] else []
    run("groupmod" if action["exists"] else "groupadd", *gid, action["name"])
    if action["closes"]:
        close_group(action["name"])


def close_group(name: str) -> None:
    """Let nobody join a group but its listed members: no administrators, no password.

    `--restrict` leaves the members that only /etc/gshadow lists.
    """
    for way, who in joiners(grp.getgrnam(name)):
        if way == "member":
            run("gpasswd", "--delete", who, name)
    run("gpasswd", "--administrators", "", name)
    run("gpasswd", "--restrict", name)


def user(action: Action) -> None:
    """Create or change an account in one call: an interruption leaves no account open to others.

    A person's account begins without a password, and so does one that is enabled again. The person
    sets it after a login by key (`first-password` in backends/base/files). The missing password
    must not expire: sshd would then accept no key until the present password is typed.
    """
    uid = ["--uid", str(action["uid"])] if action["uid"] else []
    common = [*uid, "--home", action["home"], "--shell", action["shell"]]
    groups = ["--groups", ",".join(action["groups"])] if action["groups"] else []
    no_password = ["--password", UNUSABLE]
    if action["exists"]:
        more = ["--append", *groups] if groups else []
        more += ["--expiredate", ""] if action["is_disabled"] else []
        if action["is_disabled"] or action["is_open"]:
            run("chage", "--maxdays", "-1", action["name"])
            more += no_password
        run("usermod", *common, "--gid", action["group"], *more, action["name"])
    elif action["personal"]:
        # The old home of a deleted account with this name keeps its files.
        home = ["--create-home", "--user-group", "--key", "PASS_MAX_DAYS=-1"]
        run("useradd", *home, *no_password, *common, *groups, action["name"])
    else:
        # No skeleton files: the home's contents are described.
        own = ["--no-create-home", "--gid", action["group"]]
        run("useradd", *own, *common, *groups, action["name"])


def member(action: Action) -> None:
    """Add an account to a group, or remove it."""
    run("gpasswd", "--add" if action["joins"] else "--delete", action["user"], action["group"])


def disable(action: Action) -> None:
    """Disable an account: no groups, password, shell or keys; nothing else is deleted.

    What fails does not stop the rest. Raises HostFailure with everything that failed.
    """
    name = action["name"]
    folder_of_keys = f"{Path(f'~{name}').expanduser()}/.ssh"
    rest = ["--lock", "--expiredate", "1", "--shell", "/usr/sbin/nologin"]
    problems = []
    try:
        run("usermod", "--groups", "", *rest, name)
    except HostFailure as failure:
        problems.append(f"{failure.reason}: {failure.detail}")
    for file_of_keys in ("authorized_keys", "authorized_keys2"):
        path = f"{folder_of_keys}/{file_of_keys}"
        try:
            with contextlib.suppress(FileNotFoundError), parent_of(path) as (folder, last):
                os.unlink(last, dir_fd=folder)
        except OSError as error:
            # "keys: ..." would be masked as a secret.
            problems.append(f"cannot remove {path} ({error.strerror})")
    if problems:
        raise HostFailure(problems[0], "\n".join(problems[1:]))
