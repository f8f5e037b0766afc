"""Runs on the host as root: a lock file that only root and the service account can open.

flock needs no write permission: every account that can open the file can hold the lock. Earlier
versions let every account read the file, and other accounts may still have it open. So a file with
wrong permissions is not changed but replaced: a process that has only the old file open then holds
no lock.

A file is replaced only while no change can depend on it: we hold its lock, or none of the processes
that have it open runs as root or as the service account. After taking a lock, check that the file
is still the same (`is_current`).

A process can hold a lock and hide that it has the file open: it maps the file into its memory and
closes it, sends it through a socket that nobody reads, or opens it in a thread with a table of its
own. Our own shells never do that. So a file whose lock is held by nobody who can be seen is
replaced, too.
"""

import contextlib
import fcntl
import os
import pwd
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opstasks.onhost.flock import lock_within
from opstasks.onhost.open_files import holders, sees_all
from opstasks.onhost.safe_files import check_owned_by_root, make_folder

MODE, ROOT_MODE = 0o660, 0o600
FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


def service_ids(account: str) -> tuple[int, int]:
    """The ids of the service account and its group; root's on a host without the account."""
    try:
        entry = pwd.getpwnam(account)
    except KeyError:
        return 0, 0
    return entry.pw_uid, entry.pw_gid


def is_private(info: os.stat_result) -> bool:
    """Whether no other account can open the file, or could have opened it before."""
    return info.st_uid == 0 and stat.S_IMODE(info.st_mode) in (MODE, ROOT_MODE)


def is_current(fd: int, path: str) -> bool:
    """Whether a path still leads to the file that is open."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), Path(path).lstat())
    return False


def secure(path: str, account: str) -> list[dict[str, Any]]:
    """Make the file, or replace one that others may have open.

    Returns the processes of other accounts that had the old file open. A file that a change
    may depend on stays until the next call. Does nothing unless we are root.
    """
    if os.geteuid() != 0:
        return []
    check_owned_by_root(str(Path(path).parent))
    # Every account may enter the folder.
    make_folder(Path(path).parent, 0o755)
    uid, gid = service_ids(account)
    with _alone(path):
        try:
            info = Path(path).lstat()
        except FileNotFoundError:
            _replace(path, gid)
            return []
        if is_private(info) and stat.S_ISREG(info.st_mode):
            _set_group(path, gid)
            if _is_held_by_others(path, uid):
                _replace(path, gid)
            return []
        return _secure_old(path, uid, gid)


def _secure_old(path: str, uid: int, gid: int) -> list[dict[str, Any]]:
    """Replace a file that others may have open, if no change depends on it."""
    others = [process for process in holders(path) if process["uid"] not in (0, uid)]
    fd = os.open(path, FLAGS)
    try:
        if lock_within(fd, 0, 0) or _is_held_by_others(path, uid):
            _replace(path, gid)
            return others
        return []
    finally:
        os.close(fd)


def _is_held_by_others(path: str, uid: int) -> bool:
    """Whether the lock is held, but by no process of root or the service account."""
    fd = os.open(path, FLAGS)
    try:
        # Twice: one holder may have gone, and another one come, between the two looks.
        return all(not lock_within(fd, 0, 0) and not _has_ours(path, uid) for _ in range(2))
    finally:
        os.close(fd)


def _has_ours(path: str, uid: int) -> bool:
    """Whether another process of root or the service account has the file open, as far as we see.

    True if we may not look at every process.
    """
    return any(process["uid"] in (0, uid) for process in holders(path)) or not sees_all()


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """While inside, no other process of root replaces the file; only root can open this lock."""
    fd = os.open(f"{path}.replace", FLAGS | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _replace(path: str, gid: int) -> None:
    new = Path(f"{path}.new")
    new.unlink(missing_ok=True)
    fd = os.open(new, FLAGS | os.O_CREAT | os.O_EXCL, ROOT_MODE)
    try:
        _give(fd, gid)
        new.replace(path)
    finally:
        os.close(fd)


def _set_group(path: str, gid: int) -> None:
    """Set the file's group: the account may have been created after the file."""
    fd = os.open(path, FLAGS)
    try:
        info = os.fstat(fd)
        if gid and (info.st_gid, stat.S_IMODE(info.st_mode)) != (gid, MODE):
            _give(fd, gid)
    finally:
        os.close(fd)


def _give(fd: int, gid: int) -> None:
    """Set the owner before the mode, which gives rights to the group."""
    os.fchown(fd, 0, gid)
    os.fchmod(fd, MODE if gid else ROOT_MODE)


def take(path: str, account: str, wait_s: float, poll_s: float) -> int | None:
    """Take the lock; returns the open file, or None if the lock is not free in time."""
    deadline = time.monotonic() + wait_s
    while True:
        secure(path, account)
        fd = os.open(path, FLAGS | os.O_CREAT, ROOT_MODE)
        if lock_within(fd, 0, 0) and is_current(fd, path):
            # What we start holds the lock as well, if it outlives us.
            os.set_inheritable(fd, True)
            return fd
        os.close(fd)
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return None
        time.sleep(min(poll_s, max(0.01, left_s)))


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Make the file ``lock`` safe for ``account``; answers with other accounts' processes."""
    return {"holders": secure(request["lock"], request["account"])}
