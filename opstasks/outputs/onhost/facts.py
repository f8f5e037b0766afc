"""Runs on the host: what identifies a file, so that no other file is removed instead."""

import hashlib
import os
import stat
from typing import Any

from opstasks.onhost.accounts import account_name
from opstasks.onhost.protocol import HostFailure
from opstasks.outputs.onhost.folders import open_root, opened, parent_of

Facts = dict[str, Any]
# The values that must not change between showing and removing a file.
IDENTITY = ("dev", "ino", "size_bytes", "mtime_ns", "sha256")
# Those on a network drive, which may renumber its files.
STABLE_IDENTITY = ("size_bytes", "mtime_ns", "sha256")


def facts_of(name: str, folder: int) -> Facts:
    """One regular file: identity, size, owner, hash; raises HostFailure for another kind."""
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise HostFailure("is not a regular file")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with opened(os.open(name, flags, dir_fd=folder)) as fd:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise HostFailure("is not a regular file")
        digest = hashlib.sha256()
        while block := os.read(fd, 1 << 20):
            digest.update(block)
    return {
        "dev": info.st_dev,
        "ino": info.st_ino,
        "size_bytes": info.st_size,
        "mtime_ns": info.st_mtime_ns,
        "owner": account_name(info.st_uid),
        "sha256": digest.hexdigest(),
    }


def facts_at(root: str, workspace: str, path: str) -> Facts | None:
    """The facts of a file below a root, None if it is absent.

    Raises HostFailure or OSError when it cannot be read.
    """
    parts = [workspace, *path.split("/")]
    try:
        with opened(open_root(root)) as top, parent_of(top, parts) as folder:
            return facts_of(parts[-1], folder)
    except FileNotFoundError:
        return None


def exists_at(root: str, workspace: str, path: str) -> bool:
    """Whether an entry with this name exists."""
    parts = [workspace, *path.split("/")]
    try:
        with opened(open_root(root)) as top, parent_of(top, parts) as folder:
            os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
    except (HostFailure, OSError):
        return False
    return True


def is_absent(root: str, workspace: str, path: str) -> bool:
    """Whether no entry has this name; false also when that cannot be found out."""
    parts = [workspace, *path.split("/")]
    try:
        with opened(open_root(root)) as top, parent_of(top, parts) as folder:
            os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return True
    except (HostFailure, OSError):
        return False
    return False


def differs(now: Facts, shown: Facts) -> str:
    """How a file differs from the shown one; empty when it is the same."""
    if "sha256" not in shown:
        return "it was not there"
    return ", ".join(key for key in IDENTITY if key in shown and now.get(key) != shown[key])
