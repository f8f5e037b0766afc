"""Runs on the host: lock files in a checkout, and the git that holds one.

Git makes them while it changes a checkout, and removes them when it ends. One that a killed git
left makes every later move fail. One of a running git belongs to a person: never remove it.
"""

import os
import time
from pathlib import Path
from typing import Any

from opstasks.onhost.protocol import HostFailure

# The locks that a move takes.
NAMES = ("index.lock", "HEAD.lock")
# How long another person's git may take to end.
WAIT_S = 20.0
POLL_S = 0.5
# Start times are counted in ticks, and times of files by another clock.
SLACK_S = 2.0


def left(path: str) -> list[dict[str, str]]:
    """The lock files of a checkout, as JSON of `opstasks.deploy.facts.GitLock`."""
    found = []
    for name in NAMES:
        place = Path(path, ".git", name)
        try:
            info = place.lstat()
        except OSError:
            continue
        found.append({"path": str(place), "holder": holder(path, info)})
    return found


def refuse(path: str, wait_s: float = WAIT_S) -> None:
    """Raise HostFailure for a lock file of a checkout; the git of a person may end before."""
    for lock in free_of_others(path, wait_s):
        raise HostFailure(f"{lock['path']} is there, but no git: a git that was killed left it")


def clear(path: str, wait_s: float = WAIT_S) -> bool:
    """Remove what our own killed git left; whether there was anything.

    Raises HostFailure when somebody's git is at work.
    """
    found = free_of_others(path, wait_s)
    for lock in found:
        Path(lock["path"]).unlink(missing_ok=True)
    return bool(found)


def free_of_others(path: str, wait_s: float) -> list[dict[str, str]]:
    """The lock files that no running git holds. Raises HostFailure when one still does."""
    deadline = time.monotonic() + wait_s
    while True:
        found = left(path)
        live = next((lock for lock in found if lock["holder"]), None)
        if live is None:
            return found
        if time.monotonic() >= deadline:
            raise HostFailure(f"somebody is changing {path}: {live['holder']} has {live['path']}")
        time.sleep(POLL_S)


def holder(path: str, lock: os.stat_result) -> str:
    """The git that may hold a lock file: ``process 12 (git)``; "" if none does.

    It runs as the file's owner since before the file was made, in this checkout as far as we may
    see.
    """
    age_s = time.time() - lock.st_mtime
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid != lock.st_uid:
                continue
            name, is_alive, running_s = process(folder)
            is_git = is_alive and name.startswith("git")
            if is_git and running_s >= age_s - SLACK_S and is_in(folder, path):
                return f"process {folder.name} ({name})"
        except (OSError, ValueError, IndexError):
            continue  # it has ended
    return ""


def process(folder: Path) -> tuple[str, bool, float]:
    """A process's name, whether it has not ended, and for how many seconds it has been running."""
    text = Path(folder, "stat").read_text("utf-8", "replace")
    name, rest = text[text.index("(") + 1 :].rsplit(")", 1)
    fields: list[Any] = rest.split()
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    return name, fields[0] not in "ZX", uptime_s - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def is_in(folder: Path, path: str) -> bool:
    """Whether a process works in a folder; true when we may not see where it works."""
    try:
        return Path(path).resolve() in (place := Path(folder, "cwd").readlink(), *place.parents)
    except PermissionError:
        return True
