"""Runs on the host as root: changes directories, files and their rights."""

import contextlib
import os
import re
import stat
import time
from pathlib import Path
from typing import Any

from opstasks.manage.onhost.running import run
from opstasks.onhost.masking import masked
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
# The number of backups of each file; the oldest are deleted first.
KEEP_BACKUPS = 20
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
    """Delete a file."""
    with contextlib.suppress(FileNotFoundError), parent_of(action["path"]) as (folder, name):
        os.unlink(name, dir_fd=folder)
    reload(action["reload"])


def back_up(path: str, owner: str, group: str, mode: str) -> None:
    """Keep a file's content beside it, with the time in the name; each content only once.

    Secrets are not kept, and are removed from older backups: a replaced secret must be gone.
    """
    data = without_secrets(read(path))
    with parent_of(path) as (folder, name):
        kept = backups(folder, name)
        around = path.removesuffix(name)
        for other in kept:
            content = read(f"{around}{other}")
            if content != without_secrets(content):
                put(f"{around}{other}", without_secrets(content), owner, group, mode)
        if any(read(f"{around}{other}") == data for other in kept):
            return
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        taken = [int(other[-2:]) for other in kept if moment in other]
        new = f"{name}.bak-{moment}-{max(taken, default=-1) + 1:02}"
        put(f"{around}{new}", data, owner, group, mode)
        # One from the future counts as old: the host's clock was set back since then.
        oldest_first = sorted(kept, key=lambda other: (other < new, other))
        for old in oldest_first[: max(0, len(kept) + 1 - KEEP_BACKUPS)]:
            os.unlink(old, dir_fd=folder)


def without_secrets(data: bytes) -> bytes:
    """A file's content with its secrets masked."""
    return masked(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def backups(folder: int, name: str) -> list[str]:
    """The names of a file's backups, except those of other tools."""
    pattern = re.compile(re.escape(name) + r"\.bak-\d{8}T\d{6}Z-\d\d")
    return [
        other
        for other in os.listdir(folder)
        if pattern.fullmatch(other)
        and stat.S_ISREG(os.stat(other, dir_fd=folder, follow_symlinks=False).st_mode)
    ]


def reload(what: str) -> None:
    """Make systemd, or one unit, read its files again."""
    if what == "daemon":
        run("systemctl", "daemon-reload")
    elif what:
        run("systemctl", "try-reload-or-restart", what)


def setting(action: Action) -> None:
    """Replace the first line that matches, and delete the others; append it if none matches."""
    path, pattern = action["path"], re.compile(action["match"])
    info = look(path)
    if info is None:
        raise HostFailure(f"{path} does not exist")
    text = read(path).decode("utf-8", "surrogateescape")
    lines = text.removesuffix("\n").split("\n") if text else []
    kept, placed = [], False
    for line in lines:
        if not pattern.search(line):
            kept.append(line)
        elif not placed:
            kept.append(action["line"])
            placed = True
    kept += [] if placed else [action["line"]]
    mode = f"{stat.S_IMODE(info.st_mode):04o}"
    put(
        path,
        ("\n".join(kept) + "\n").encode("utf-8", "surrogateescape"),
        str(info.st_uid),
        str(info.st_gid),
        mode,
    )


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
