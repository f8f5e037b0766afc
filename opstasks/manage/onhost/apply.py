"""Runs on the host as root: carries a plan's steps out, in order, stopping at the first failure.

Prints one JSON object: which steps are done, and why the next one is not. Each step is safe to
repeat; what can be half-done is done beside its place and then renamed.
"""

import contextlib
import json
import os
import re
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opstasks.manage.onhost.paths import (
    FOLDER,
    Unsafe,
    fits,
    give,
    ids,
    look,
    open_folder,
    parent_of,
    put,
    read,
    set_rights,
    staged,
)
from opstasks.onhost.commands import StepError, call, said

Action = dict[str, Any]
# Debian's package tools never ask anything; a configuration file that somebody changed stays.
APT = ("apt-get", "--yes", "--quiet", "--no-install-recommends")
APT_OPTIONS = ("-o", "Dpkg::Options::=--force-confold", "-o", "DPkg::Lock::Timeout=120")
# Without this, old lists that could not be replaced are no failure to apt.
STRICT = ("-o", "APT::Update::Error-Mode=any")
LISTS = "/var/lib/apt/lists"
# Of each file; the oldest go first.
KEEP_BACKUPS = 20


def run(*args: str, **options: Any) -> str:
    """Run a command that must succeed; what it printed, as it is."""
    done = call(*args, **options)
    if done.returncode:
        reason = f"{args[0]} failed ({done.returncode}): "
        raise StepError(reason + "\n".join(said(done)[-6:]))
    return str(done.stdout)


def as_user(owner: str, *args: str) -> str:
    """Run a command as an account, with its own home and nothing of root's environment."""
    home = str(Path(f"~{owner}").expanduser())
    clean = ["env", "-i", f"HOME={home}", f"USER={owner}", f"PATH={os.environ['PATH']}"]
    return run("runuser", "-u", owner, "--", *clean, *args, cwd=home, timeout=1800)


# -- packages and accounts -----------------------------------------------------------------------


def packages(action: Action) -> None:
    """Install, purge or upgrade; what an earlier step did already is not done again."""
    verb, names = action["verb"], action["names"]
    if names and all(installed(name) is (verb == "install") for name in names):
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
    if verb == "refresh":
        run(*APT, *APT_OPTIONS, *STRICT, "update", env=env, timeout=600)
        os.utime(LISTS)
        verb = "upgrade"
    elif verb != "purge":
        # Lists that cannot be brought up to date may still do.
        with contextlib.suppress(StepError):
            run(*APT, *APT_OPTIONS, "update", env=env, timeout=600)
    run(*APT, *APT_OPTIONS, verb, *names, env=env, timeout=1800)


def installed(name: str) -> bool:
    """Whether a package is installed."""
    with contextlib.suppress(StepError):
        form = "${db:Status-Status}"
        return run("dpkg-query", "-W", "-f", form, name) == "installed"
    return False


def group(action: Action) -> None:
    """Make a group, or give it its id."""
    gid = ["--gid", str(action["gid"])] if action["gid"] else []
    run("groupmod" if action["exists"] else "groupadd", *gid, action["name"])


def user(action: Action) -> None:
    """Make an account, or bring it in line."""
    uid = ["--uid", str(action["uid"])] if action["uid"] else []
    common = [*uid, "--home", action["home"], "--shell", action["shell"]]
    groups = ["--groups", ",".join(action["groups"])] if action["groups"] else []
    if action["exists"]:
        more = ["--append", *groups] if groups else []
        run("usermod", *common, "--gid", action["group"], *more, action["name"])
        if action["shut"]:
            first_login(action["name"])
    elif action["personal"]:
        # A home that is there already (an account of that name was removed) keeps its files.
        home = ["--create-home", "--user-group"]
        run("useradd", *home, "--expiredate", "1", *common, *groups, action["name"])
        first_login(action["name"])
    else:
        # No skeleton: the home's contents are described, and the lock may lie there already.
        own = ["--no-create-home", "--gid", action["group"]]
        run("useradd", *own, *common, *groups, action["name"])


def first_login(name: str) -> None:
    """Have a person choose a password at the first login, which only their key allows.

    Opens the shut account last: one that is cut off before is found shut, and done again.
    """
    run("passwd", "--quiet", "--delete", name)
    run("chage", "--lastday", "0", name)
    run("chage", "--expiredate", "-1", name)


def member(action: Action) -> None:
    """Put a person into a group, or take them out."""
    run("gpasswd", "--add" if action["joins"] else "--delete", action["user"], action["group"])


def shut(action: Action) -> None:
    """Shut an account: no keys, no groups, no password, no shell; nothing else is deleted."""
    name = action["name"]
    folder_of_keys = f"{Path(f'~{name}').expanduser()}/.ssh"
    for file_of_keys in ("authorized_keys", "authorized_keys2"):
        path = f"{folder_of_keys}/{file_of_keys}"
        with contextlib.suppress(FileNotFoundError), parent_of(path) as (folder, last):
            os.unlink(last, dir_fd=folder)
    rest = ["--lock", "--expiredate", "1", "--shell", "/usr/sbin/nologin"]
    run("usermod", "--groups", "", *rest, name)


# -- files ---------------------------------------------------------------------------------------


def directory(action: Action) -> None:
    """Make a directory, or bring its rights in line."""
    with parent_of(action["path"]) as (folder, name):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=folder)
        try:
            handle = os.open(name, FOLDER, dir_fd=folder)
        except OSError:
            text = f"{action['path']} is there and is no directory; move it away"
            raise StepError(text) from None
        try:
            give(handle, action["owner"], action["group"], action["mode"])
        finally:
            os.close(handle)


def rights(action: Action) -> None:
    """Bring a file's rights in line."""
    with parent_of(action["path"]) as (folder, name):
        set_rights(folder, name, action["owner"], action["group"], action["mode"])


def file(action: Action) -> None:
    """Write a file: staged beside its place, checked, given its rights, renamed."""
    path, rest = action["path"], (action["owner"], action["group"], action["mode"])
    info = look(path)
    if info is not None and stat.S_ISDIR(info.st_mode):
        raise StepError(f"{path} is a directory; move it away")
    if action["backup"] and info is not None and stat.S_ISREG(info.st_mode):
        back_up(path, *rest)
    data = action["content"].encode()
    with parent_of(path) as (folder, name), staged(folder, name, data) as (beside, handle):
        if action["check"]:
            place = str(Path(path).with_name(beside))
            run(*(word.replace("@file@", place) for word in action["check"]))
        give(handle, *rest)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    if action["verify"]:
        run(*action["verify"])
    reload(action["reload"])


def remove(action: Action) -> None:
    """Take a file away."""
    with contextlib.suppress(FileNotFoundError), parent_of(action["path"]) as (folder, name):
        os.unlink(name, dir_fd=folder)
    reload(action["reload"])


def back_up(path: str, owner: str, group: str, mode: str) -> None:
    """Keep a file's content beside it, under a name of its own; once, however often it is met."""
    data = read(path)
    with parent_of(path) as (folder, name):
        kept = backups(folder, name)
        around = path.removesuffix(name)
        if any(read(f"{around}{other}") == data for other in kept):
            return
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        taken = [int(other[-2:]) for other in kept if moment in other]
        new = f"{name}.bak-{moment}-{max(taken, default=-1) + 1:02}"
        put(f"{around}{new}", data, owner, group, mode)
        for old in sorted(kept)[: max(0, len(kept) + 1 - KEEP_BACKUPS)]:
            os.unlink(old, dir_fd=folder)


def backups(folder: int, name: str) -> list[str]:
    """The names of a file's backups, those of other tools left out."""
    pattern = re.compile(re.escape(name) + r"\.bak-\d{8}T\d{6}Z-\d\d")
    return [
        other
        for other in os.listdir(folder)
        if pattern.fullmatch(other)
        and stat.S_ISREG(os.stat(other, dir_fd=folder, follow_symlinks=False).st_mode)
    ]


def reload(what: str) -> None:
    """Have systemd, or one unit, read its files again."""
    if what == "daemon":
        run("systemctl", "daemon-reload")
    elif what:
        run("systemctl", "try-reload-or-restart", what)


def setting(action: Action) -> None:
    """Have one line in a file that is not ours: in the place of the first that is like it."""
    path, pattern = action["path"], re.compile(action["match"])
    info = look(path)
    if info is None:
        raise StepError(f"{path} is not there")
    lines, kept, placed = read(path).decode().splitlines(), [], False
    for line in lines:
        if not pattern.search(line):
            kept.append(line)
        elif not placed:
            kept.append(action["line"])
            placed = True
    kept += [] if placed else [action["line"]]
    mode = f"{stat.S_IMODE(info.st_mode):04o}"
    put(path, ("\n".join(kept) + "\n").encode(), str(info.st_uid), str(info.st_gid), mode)


def tree(action: Action) -> None:
    """Bring the rights of everything below a directory in line, links left alone."""
    files, folders = action["files"], action["directories"]
    good = {
        stat.S_IFREG: {int(mode, 8) for mode in (files, *action["tolerated"])},
        stat.S_IFDIR: {int(folders, 8)},
    }
    owner = ids(action["owner"], action["group"])
    start = open_folder(action["path"])
    try:
        for _, below, names, handle in os.fwalk(".", dir_fd=start):
            for name in (*below, *names):
                # A job may take it away meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    info = os.stat(name, dir_fd=handle, follow_symlinks=False)
                    if not fits(info, owner, good):
                        mode = folders if stat.S_ISDIR(info.st_mode) else files
                        set_rights(handle, name, action["owner"], action["group"], mode)
    finally:
        os.close(start)


# -- service -------------------------------------------------------------------------------------


def checkout(action: Action) -> None:
    """Clone a repository: beside its place, then renamed, so that half a clone is never found."""
    path = Path(action["path"])
    if path.exists():
        if any(path.iterdir()):
            raise StepError(f"{path} is there and is no git checkout; move it away")
        path.rmdir()
    half = path.with_name(f".{path.name}.half")
    as_user(action["owner"], "rm", "-rf", "--one-file-system", "--", str(half))
    as_user(action["owner"], "git", "clone", "--quiet", "--no-checkout", action["url"], str(half))
    as_user(action["owner"], "git", "-C", str(half), "checkout", "--quiet", action["ref"])
    as_user(action["owner"], "mv", "--no-target-directory", "--", str(half), str(path))


def create(action: Action) -> None:
    """Run the command that makes a path; what it made half is taken away again."""
    path = Path(action["path"])
    try:
        as_user(action["owner"], "bash", "-c", action["run"])
    except StepError:
        with contextlib.suppress(OSError):
            as_user(action["owner"], "rm", "-f", "--", str(path))
        raise
    if not path.exists():
        raise StepError(f"{path} is not there after its command")


def probe(action: Action) -> None:
    """Mend what a probe found, unless an earlier step did; see that it then holds."""
    if not subprocess.run(action["test"], capture_output=True, check=False).returncode:
        return
    run(*action["run"], timeout=180)
    run(*action["test"], timeout=60)


def enable(action: Action) -> None:
    """Have a unit start with the host."""
    run("systemctl", "enable", "--quiet", action["name"])


def disable_unit(action: Action) -> None:
    """Have a unit not start with the host."""
    run("systemctl", "disable", "--quiet", action["name"])


def start(action: Action) -> None:
    """Start a unit."""
    run("systemctl", "start", action["name"], timeout=180)


def stop(action: Action) -> None:
    """Stop a unit."""
    run("systemctl", "stop", action["name"], timeout=180)


def nothing(_: Action) -> None:
    """Do nothing: the step is about what is done around it."""


ACTIONS: dict[str, Callable[[Action], None]] = {
    "packages": packages,
    "group": group,
    "user": user,
    "shut": shut,
    "member": member,
    "directory": directory,
    "rights": rights,
    "file": file,
    "remove": remove,
    "setting": setting,
    "tree": tree,
    "checkout": checkout,
    "create": create,
    "probe": probe,
    "enable": enable,
    "disable": disable_unit,
    "start": start,
    "stop": stop,
    "nothing": nothing,
}


def carry_out(actions: list[Action]) -> Action:
    """Do the steps in order; how many are done, and why the next one is not."""
    answer: Action = {"done": 0, "reason": ""}
    for action in actions:
        try:
            ACTIONS[action["do"]](action)
        except (StepError, Unsafe, OSError, LookupError, subprocess.SubprocessError) as error:
            answer["reason"] = str(error) or type(error).__name__
            break
        answer["done"] += 1
    return answer


def main(request: str) -> None:
    """Do the steps, say how far it went."""
    os.umask(0o027)
    answer = carry_out(json.loads(request))
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer), flush=True)
