"""Check that only the operator can change a file that decides where passwords are sent.

The rule of OpenSSH: a file, and every folder above it, belongs to the operator or root, and no
other account may write it. The operator's own group may, if it has no other members.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def problem(path: Path) -> str:
    """Why another account could change a file or folder; "" if none can. Raises OSError."""
    real = path.resolve()
    if path.lstat().st_uid not in (0, os.geteuid()):
        return f"{path} belongs to someone else"
    # A link of ours is as safe as the folder that contains it. In a folder such as /tmp, others can
    # make links, too.
    for place in dict.fromkeys((real, *_above(real), path.absolute().parent)):
        if reason := _own_problem(place.stat(), is_leaf=place == real):
            return f"{place} {reason}"
    return ""


def tree_problem(folder: Path) -> str:
    """Why another account could change a folder or anything in it; "" if none can."""
    for place in (folder, *sorted(folder.rglob("*"))):
        if reason := problem(folder) if place == folder else _inner_problem(place):
            return reason
    return ""


def _inner_problem(place: Path) -> str:
    if place.is_symlink():
        return problem(place) if place.exists() else ""
    reason = _own_problem(place.stat(), is_leaf=True)
    return f"{place} {reason}" if reason else ""


def _above(path: Path) -> Iterator[Path]:
    """The folders above a path, up to the home directory; those above that are not checked."""
    home = Path.home().resolve()
    for folder in path.parents:
        yield folder
        if folder == home:
            return


def _own_problem(info: os.stat_result, *, is_leaf: bool) -> str:
    if info.st_uid not in (0, os.geteuid()):
        return "belongs to someone else"
    # In a folder such as /tmp, others cannot replace our files.
    is_sticky = stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX and not is_leaf
    if info.st_mode & 0o002 and not is_sticky:
        return "may be written by anyone"
    if info.st_mode & 0o020 and not is_sticky and not _is_own_group(info.st_gid):
        return "may be written by its group"
    return ""


def _is_own_group(gid: int) -> bool:
    """Whether a group is the operator's own, which Debian makes for each account."""
    import grp
    import pwd

    try:
        group, me = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    is_mine = gid in (0, me.pw_gid) and group.gr_name in ("root", me.pw_name)
    return is_mine and set(group.gr_mem) <= {me.pw_name, "root"}
