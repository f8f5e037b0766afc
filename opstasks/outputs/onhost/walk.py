"""Runs on the host: everything in a workspace that is not a folder."""

import os
import stat
from collections.abc import Iterator
from typing import Any

from opstasks.onhost.accounts import account_name
from opstasks.onhost.limits import moment
from opstasks.onhost.protocol import HostFailure, HostRefusal
from opstasks.outputs.onhost.folders import open_folder, open_root, opened

# What the client gives `manage` as the hint for.
MISSING = "does not exist"


def open_workspaces(root: str) -> int:
    """The folder of the workspaces; raises HostRefusal when it does not exist."""
    try:
        return open_root(root)
    except FileNotFoundError:
        raise HostRefusal(f"{root} {MISSING}") from None


def workspace_names(top: int) -> list[str]:
    """The names of all workspaces, sorted; `top` is their folder."""
    with os.scandir(top) as found:
        return sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))


def walk(folder: int, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Every entry except folders, at any depth; links are not followed."""
    with os.scandir(folder) as found:
        entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
    for name, is_folder in entries:
        try:
            if is_folder:
                with opened(open_folder(name, folder)) as below:
                    yield from walk(below, f"{prefix}{name}/")
                continue
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (HostFailure, FileNotFoundError):
            continue  # it was removed or replaced meanwhile
        yield {
            "path": prefix + name,
            "kind": _kind(info.st_mode),
            "size_bytes": info.st_size,
            "owner": account_name(info.st_uid),
            "modified_at": moment(info.st_mtime),
        }


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    return "link" if stat.S_ISLNK(mode) else "other"
