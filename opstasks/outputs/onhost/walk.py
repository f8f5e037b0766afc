"""Runs on the host: everything in a workspace that is not a folder."""

import os
import stat
from collections.abc import Iterator
from typing import Any

from opstasks.onhost.accounts import account_name
from opstasks.onhost.limits import moment
from opstasks.onhost.protocol import HostFailure, HostRefusal, error_text
from opstasks.onhost.safe_files import TOO_DEEP, is_too_deep
from opstasks.outputs.onhost.folders import open_folder, open_root, opened

# What cannot be read: its path in the workspace, and the reason.
Unreadable = dict[str, str]
# So many of them are sent.
KEPT = 1000
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


def walk(folder: int, unreadable: list[Unreadable], prefix: str = "") -> Iterator[dict[str, Any]]:
    """Every entry except folders, down to MOST_LEVELS folders; links are not followed.

    What cannot be read is added to `unreadable`, and the rest is listed.
    """
    with os.scandir(folder) as found:
        entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
    for name, is_folder in entries:
        try:
            if is_folder and is_too_deep(prefix):
                unreadable.append({"path": prefix + name, "error": TOO_DEEP})
                continue
            if is_folder:
                with opened(open_folder(name, folder)) as below:
                    yield from walk(below, unreadable, f"{prefix}{name}/")
                continue
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (HostFailure, FileNotFoundError):
            continue  # it was removed or replaced meanwhile
        except OSError as error:
            unreadable.append({"path": prefix + name, "error": reason(error)})
            continue
        yield {
            "path": prefix + name,
            "kind": _kind(info.st_mode),
            "size_bytes": info.st_size,
            "owner": account_name(info.st_uid),
            "modified_at": moment(info.st_mtime),
        }


def reason(error: HostFailure | OSError) -> str:
    """Why something cannot be read, without its path."""
    if isinstance(error, OSError):
        error.filename = None
    return error_text(error)


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    return "link" if stat.S_ISLNK(mode) else "other"
