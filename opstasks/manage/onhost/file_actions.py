"""Runs on the host as root: changes directories, files and their rights."""

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opstasks.manage.onhost import file_facts
from opstasks.manage.onhost.running import run
from opstasks.onhost import backups
from opstasks.onhost.backups import keep_replaced, to_keep
from opstasks.onhost.protocol import HostFailure
from opstasks.onhost.safe_files import (
    FOLDER,
    fits,
    give,
    ids,
    is_too_deep,
    look,
    open_folder,
    parent_of,
    put,
    read,
    set_rights,
    staged,
)

Action = dict[str, Any]
# The number of paths in a message.
KEEP_PROBLEMS = 5


def directory(action: Action) -> None:
    """Create a directory, or change its rights."""
    with parent_of(action["path"]) as (folder, name):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=folder)
        try:
            handle = os.open(name, FOLDER, dir_fd=folder)
        except OSError:
            text = f"{action['path']} exists and is not a directory; move it away"
            raise HostFailure(text) from None
        try:
            give(handle, action["owner"], action["group"], action["mode"])
        finally:
            os.close(handle)


def rights(action: Action) -> None:
    """Change a file's rights."""
    with parent_of(action["path"]) as (folder, name):
        set_rights(folder, name, action["owner"], action["group"], action["mode"])


def file(action: Action) -> None:
    """Write a file: under a temporary name, checked, given its rights, renamed."""
    path, rest = action["path"], (action["owner"], action["group"], action["mode"])
    info = look(path)
    if info is not None and stat.S_ISDIR(info.st_mode):
        raise HostFailure(f"{path} is a directory; move it away")
    data = action["content"].encode()
    with parent_of(path) as (folder, name), staged(folder, name, data) as (beside, handle):
        if action["check"]:
            place = str(Path(path).with_name(beside))
            run(*(word.replace("@file@", place) for word in action["check"]))
        give(handle, *rest)
        done = hashlib.sha256(data).hexdigest()
        if file_facts.state(path) != done:
            keep(action, lambda copy: give(copy, *rest))
        check_shown(action, done)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    if action["verify"]:
        run(*action["verify"])
    reload(action["reload"])


def remove(action: Action) -> None:
    """Delete a file."""
    path = action["path"]
    with contextlib.suppress(FileNotFoundError), parent_of(path) as (folder, name):
        keep_replaced(path, action["kept_in"])
        check_shown(action, "absent")
        os.unlink(name, dir_fd=folder)
    reload(action["reload"])


def check_shown(action: Action, done: str) -> None:
    """Raise HostFailure if a path is neither as the plan showed it nor `done`.

    A person has changed it since. It is checked at the last moment, after its content was kept.
    """
    if file_facts.state(action["path"]) not in (action["replaces"], done):
        raise changed(action["path"])


def changed(path: str) -> HostFailure:
    """The error for a file that is not what the plan showed."""
    return HostFailure(f"{path} was changed since the plan was shown; it was left as it is")


def keep(action: Action, give_rights: Callable[[int], None]) -> None:
    """Keep the present content of a file that an action replaces, without its secrets."""
    path = action["path"]
    if not action["backup"]:
        keep_replaced(path, action["kept_in"])
        return
    info = look(path)
    if info is not None and stat.S_ISREG(info.st_mode):
        data = to_keep(path)
        with parent_of(path) as (folder, name):
            backups.keep(folder, name, data, give_rights)


def reload(what: str) -> None:
    """Make systemd, or one unit, read its files again."""
    if what == "daemon":
        run("systemctl", "daemon-reload")
    elif what:
        run("systemctl", "try-reload-or-restart", what)


def setting(action: Action) -> None:
    """Replace the first line that matches, and delete the others; append it if none matches."""
    path, match, line = action["path"], action["match"], action["line"]
    info = look(path)
    if info is None:
        raise HostFailure(f"{path} does not exist")
    data = to_keep(path)
    found = file_facts.matching(data, match)
    if found == [line]:
        return
    keep_replaced(path, action["kept_in"])
    if found != list(action["replaces"]) or read(path) != data:
        raise changed(path)
    text = with_line(data.decode("utf-8", "surrogateescape"), match, line)
    rights = (str(info.st_uid), str(info.st_gid), f"{stat.S_IMODE(info.st_mode):04o}")
    put(path, text.encode("utf-8", "surrogateescape"), *rights)


def with_line(text: str, match: str, wanted: str) -> str:
    """A text in which a line is in the place of the first match, or at the end."""
    pattern = re.compile(match)
    lines = text.removesuffix("\n").split("\n") if text else []
    kept, placed = [], False
    for line in lines:
        if not pattern.search(line):
            kept.append(line)
        elif not placed:
            kept.append(wanted)
            placed = True
    kept += [] if placed else [wanted]
    return "\n".join(kept) + "\n"


def tree(action: Action) -> None:
    """Change the rights of everything below a directory, except links.

    What cannot be changed does not stop the rest. Raises HostFailure with the first such paths.
    """
    problems: list[str] = []
    files, folders = action["files"], action["directories"]
    good = {
        stat.S_IFREG: {int(mode, 8) for mode in (files, *action["tolerated"])},
        stat.S_IFDIR: {int(folders, 8)},
    }
    owner = ids(action["owner"], action["group"])
    start = open_folder(action["path"])
    try:
        for place, below, names, handle in os.fwalk(".", dir_fd=start):
            if is_too_deep(place):
                below.clear()
            for name in (*below, *names):
                # A job may delete it at any time.
                try:
                    info = os.stat(name, dir_fd=handle, follow_symlinks=False)
                    if not fits(info, owner, good):
                        mode = folders if stat.S_ISDIR(info.st_mode) else files
                        set_rights(handle, name, action["owner"], action["group"], mode)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    problems.append(f"{os.path.normpath(f'{place}/{name}')} ({error.strerror})")
    finally:
        os.close(start)
    if problems:
        count = f"cannot change {len(problems)} of the files below {action['path']}"
        raise HostFailure(count, "\n".join(problems[:KEEP_PROBLEMS]))
