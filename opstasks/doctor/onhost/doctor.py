"""Runs on the host as the service account: everything that the tasks rely on. Changes nothing.

`main` gets a JSON request and prints facts; what they mean is judged elsewhere.
"""

import grp
import json
import os
import pwd
import shutil
import sqlite3
import stat
import sys
import time
from pathlib import Path
from typing import Any

from opstasks.onhost.commands import attempt, said

LIMIT_S = 20.0


def tried(*words: str) -> tuple[int, str]:
    """A command's exit code and its last line; a command that hangs counts as failed."""
    done = attempt(*words, timeout_s=LIMIT_S)
    lines = said(done)
    return done.returncode, lines[-1] if lines else ""


def path(name: str) -> dict[str, Any] | None:
    """A path as this account sees it."""
    place = Path(name)
    try:
        info = place.stat()
    except OSError:
        return None
    return {
        "folder": stat.S_ISDIR(info.st_mode),
        "owner": name_of(info.st_uid),
        "group": group_of(info.st_gid),
        "mode": stat.S_IMODE(info.st_mode),
        "readable": os.access(name, os.R_OK),
        "writable": os.access(name, os.W_OK),
    }


def name_of(uid: int) -> str:
    """An account's name, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_of(gid: int) -> str:
    """A group's name, or its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def database(name: str) -> tuple[str, bool]:
    """What is wrong with job-runner's database, if anything; whether sqlite calls it damaged."""
    if not Path(name).exists():
        return "is not there", False
    try:
        connection = sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=10)
        found = str(connection.execute("PRAGMA quick_check").fetchone()[0])
        connection.execute("SELECT count(*) FROM job").fetchone()
        connection.close()
    except sqlite3.Error as error:
        # A lock, a full disk and a missing right are OperationalErrors: they pass.
        return str(error), type(error) is sqlite3.DatabaseError
    return ("", False) if found == "ok" else (found, True)


def disk(name: str) -> dict[str, int] | None:
    """How full a file system is, in per cent of blocks and of inodes."""
    try:
        found = os.statvfs(name)
    except OSError:
        return None
    inodes = 100 - 100 * found.f_favail // found.f_files if found.f_files else 0
    return {"used": 100 - 100 * found.f_bavail // max(1, found.f_blocks), "inodes": inodes}


def leftovers(name: str) -> list[str]:
    """What lies in a folder that should be empty, or absent."""
    try:
        return sorted(entry.name for entry in Path(name).iterdir())
    except OSError:
        return []


def main(request: str) -> None:
    """Print the facts as one JSON object."""
    asked = json.loads(request)
    print(
        json.dumps(
            {
                "now": time.time(),
                "python": list(sys.version_info[:2]),
                "programs": {name: shutil.which(name) or "" for name in asked["programs"]},
                "paths": {name: path(name) for name in asked["paths"]},
                "sudo": {rule: tried("sudo", "-n", "-l", *rule.split()) for rule in asked["sudo"]},
                "docker": tried("docker", "ps", "--quiet"),
                "database": database(asked["database"]),
                "disks": {name: disk(name) for name in asked["disks"]},
                "persistent_journal": Path("/var/log/journal").is_dir(),
                "leftovers": leftovers(asked["hold"]),
            }
        )
    )
