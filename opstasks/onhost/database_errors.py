"""Runs on the host: what an error of SQLite means, in the same words everywhere."""

import contextlib
import os
import sqlite3
from pathlib import Path

from opstasks.onhost.accounts import account_name

# Every lock of the machine, readable by every account.
LOCKS = Path("/proc/locks")
LOCKED = "the database is locked"


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether SQLite reports damage: then waiting does not help.

    A lock, a full disk and a missing right are OperationalErrors. Python before 3.11 has no error
    codes. A service whose database is removed makes an empty one.
    """
    return type(error) is sqlite3.DatabaseError or str(error) == "no such table: job"


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another program has the database locked."""
    return isinstance(error, sqlite3.OperationalError) and "is locked" in str(error)


def explain(error: sqlite3.Error, path: Path | None = None) -> str:
    """The reason, for people; who has the database at `path` locked, if it is locked."""
    if is_locked(error):
        who = holder(path) if path else ""
        return f"{LOCKED} by {who}" if who else LOCKED
    if "disk is full" in str(error):
        return "the disk is full"
    return f"the database is damaged: {error}" if is_damaged(error) else str(error)


def holder(path: Path) -> str:
    """The other process that has a lock on a file: ``python3 (process 12 of root)``; "" if unknown.

    A process that writes counts more than one that reads.
    """
    found: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        inode = path.stat().st_ino
        for line in LOCKS.read_text().split("\n"):
            # 1: POSIX  ADVISORY  WRITE 2126 00:2e:131 1073741825 1073742335
            words = line.split()
            if len(words) == 8 and words[5].endswith(f":{inode}"):
                found[words[3]] = int(words[4])
    pid = found.get("WRITE", found.get("READ", 0))
    return named(pid) if pid > 0 and pid != os.getpid() else ""


def named(pid: int) -> str:
    """A process for people; "" if it has ended."""
    try:
        process = Path("/proc", str(pid))
        command, uid = (process / "comm").read_text().strip(), process.stat().st_uid
    except OSError:
        return ""
    return f"{command} (process {pid} of {account_name(uid)})"
