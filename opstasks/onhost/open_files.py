"""Runs on the host as root: find the processes that have a file open."""

import contextlib
import os
import pwd
from pathlib import Path
from typing import Any

PROC = Path("/proc")


def holders(path: str) -> list[dict[str, Any]]:
    """Every process that has the file open, oldest first."""
    try:
        wanted = Path(path).stat()
    except FileNotFoundError:
        return []
    found = []
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if int(folder.name) != os.getpid() and has_open(folder, wanted):
                found.append(describe(folder))
    return sorted(found, key=lambda process: (process["start_ticks"], process["pid"]))


def sees_all() -> bool:
    """Whether we may look at the open files of every process: a container's root may not."""
    for folder in PROC.glob("[0-9]*"):
        try:
            list((folder / "fd").iterdir())
        except PermissionError:
            return False
        except OSError:
            continue  # it has ended
    return True


def has_open(folder: Path, wanted: os.stat_result) -> bool:
    """Whether a process has the file open."""
    for fd in (folder / "fd").iterdir():
        with contextlib.suppress(OSError):
            info = fd.stat()
            if (info.st_dev, info.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False


def describe(folder: Path) -> dict[str, Any]:
    """A process for people; its start distinguishes it from a later one with the same id."""
    words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    uid = real_uid_of(folder)
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    start_ticks = start_of(folder)
    up_s = float((PROC / "uptime").read_text().split()[0])
    return {
        "pid": int(folder.name),
        "start_ticks": start_ticks,
        "uid": uid,
        "user": user,
        "age_s": max(0.0, up_s - start_ticks / os.sysconf("SC_CLK_TCK")),
        # We send scripts and requests on standard input: our arguments contain no secrets.
        "command": b" ".join(words).decode("utf-8", "replace")[:120],
        "unit": unit_of(folder),
    }


def start_of(folder: Path) -> int:
    """When a process started, in clock ticks since the boot."""
    return int((folder / "stat").read_text().rpartition(")")[2].split()[19])


def real_uid_of(folder: Path) -> int:
    """The account of a process. Its folder in /proc may be root's although the process is not."""
    for line in (folder / "status").read_text().split("\n"):
        if line.startswith("Uid:"):
            return int(line.split()[1])
    raise ValueError("a process without an account")


def unit_of(folder: Path) -> str:
    """The systemd unit that a process belongs to; empty for processes of a login."""
    for part in reversed((folder / "cgroup").read_text().replace("\n", "/").split("/")):
        if part.endswith(".service") and not part.startswith(("user@", "ssh")):
            return part
    return ""
