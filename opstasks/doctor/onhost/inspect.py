"""Runs on the host as the service account: read everything that the tasks rely on.

It changes nothing. The client decides what the facts mean.
"""

import contextlib
import os
import shutil
import sqlite3
import stat
import sys
import time
from pathlib import Path
from typing import Any

from opstasks.onhost import disk_use
from opstasks.onhost.accounts import account_name
from opstasks.onhost.commands import attempt, said
from opstasks.onhost.database_errors import explain, is_damaged
from opstasks.onhost.database_values import open_read_only
from opstasks.onhost.disk_errors import explained
from opstasks.onhost.engine import Engine, EngineError
from opstasks.onhost.folder_rights import closed
from opstasks.onhost.protocol import Answer, Request

LIMIT_S = 20.0
# Seconds to wait for a locked database.
LOCKED_S = 10.0


def tried(*words: str) -> dict[str, Any]:
    """A command's exit code and its last line; a command that hangs counts as failed."""
    done = attempt(*words, timeout_s=LIMIT_S)
    lines = said(done)
    return {"code": done.returncode, "text": lines[-1] if lines else ""}


def docker() -> dict[str, str]:
    """Whether docker answers the client that reads jobs and images, or its error message."""
    engine = Engine(timeout_s=LIMIT_S)
    try:
        engine.get("containers", "json", limit="1")
        return {"error": "", "version": engine.version}
    except EngineError as error:
        return {"error": str(error), "version": ""}
    finally:
        engine.close()


def path(name: str) -> dict[str, Any] | None:
    """A path, as this account sees it; a folder that it may not enter counts as unreadable.

    None only if it is not there.
    """
    try:
        info = Path(name).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # it may well be there
        closed_at = closed_above(name) if isinstance(error, PermissionError) else ""
        error.filename = closed_at or None
        unknown = {"owner": "", "mode": 0, "readable": False, "writable": False}
        return {**unknown, "why": explained(error), "closed_at": closed_at}
    needed = os.R_OK | os.X_OK if stat.S_ISDIR(info.st_mode) else os.R_OK
    return {
        "owner": account_name(info.st_uid),
        "mode": stat.S_IMODE(info.st_mode),
        "readable": os.access(name, needed),
        "writable": os.access(name, os.W_OK),
    }


def closed_above(name: str) -> str:
    """The first folder on a path that this account may not enter; "" if there is none."""
    folders = (str(folder) for folder in reversed(Path(name).parents))
    return next((folder for folder in folders if not os.access(folder, os.X_OK)), "")


def closed_folders(names: list[str]) -> dict[str, str]:
    """Why this account may not write to folders; those above them are checked by themselves."""
    found = {name: closed(name) for name in names}
    return {name: each.why for name, each in found.items() if each and each.place == name}


def database(name: str) -> dict[str, Any]:
    """What is wrong with job-runner's database, and whether sqlite reports damage."""
    try:
        Path(name).stat()
    except (FileNotFoundError, NotADirectoryError):
        return {"problem": "is not there", "damaged": False}
    except OSError as error:  # a folder of another account: the file may well be there
        return {"problem": error.strerror or str(error), "damaged": False}
    try:
        with contextlib.closing(open_read_only(Path(name), LOCKED_S)) as connection:
            found = str(connection.execute("PRAGMA quick_check").fetchone()[0])
            connection.execute("SELECT count(*) FROM job").fetchone()
    except sqlite3.Error as error:
        return {"problem": explain(error, Path(name)), "damaged": is_damaged(error)}
    return {"problem": "" if found == "ok" else found, "damaged": found != "ok"}


def disk(name: str) -> dict[str, int] | None:
    """How full a file system is, in per cent of blocks and of inodes."""
    try:
        found = os.statvfs(name)
    except OSError:
        return None
    return {
        "used_percent": disk_use.used_percent(found),
        "inodes_percent": disk_use.inodes_percent(found),
    }


def leftovers(name: str) -> list[str]:
    """The names in a folder that should be empty or missing."""
    try:
        return sorted(entry.name for entry in Path(name).iterdir())
    except OSError:
        return []


def main(request: Request) -> Answer:
    """Answer with the facts."""
    return {
        "now_at": time.time(),
        "python": list(sys.version_info[:2]),
        "programs": {name: shutil.which(name) or "" for name in request["programs"]},
        "paths": {name: path(name) for name in request["paths"]},
        "closed": closed_folders(request["folders"]),
        "sudo": {rule: tried("sudo", "-n", "-l", *rule.split()) for rule in request["sudo"]},
        "docker": docker(),
        "database": database(request["database"]),
        "disks": {name: disk(name) for name in request["disks"]},
        "persistent_journal": Path("/var/log/journal").is_dir(),
        "leftovers": leftovers(request["hold"]),
    }
