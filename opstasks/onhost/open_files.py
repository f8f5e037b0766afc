"""Runs on the host as root: find the processes that have a file open."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from opstasks.onhost.accounts import account_name

PROC = Path("/proc")


class Ids(NamedTuple):
    """What identifies a process: its start, in clock ticks since the boot, and its relatives.

    All processes that one of our shells starts have its session, unless they make their own.
    """

    pid: int
    group: int
    session: int
    start_ticks: int


def holders(path: str) -> list[dict[str, Any]]:
    """Every process that has the file open, oldest first."""
    try:
        wanted = Path(path).stat()
    except FileNotFoundError:
        return []
    found = []
    for folder, _ in processes():
        with contextlib.suppress(OSError, ValueError):
            if has_open(folder, wanted):
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


def processes() -> Iterator[tuple[Path, Ids]]:
    """Every other process, newest first: one that forks all the time is gone in a moment."""
    with os.scandir(PROC) as entries:
        found = [int(entry.name) for entry in entries if entry.name.isdecimal()]
    newest = _newest_pid()
    # Ids begin again after the largest one: those above the newest are the oldest.
    pids = sorted(found, key=lambda pid: (pid <= newest, pid), reverse=True)
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            if pid != os.getpid():
                yield PROC / str(pid), ids_of(PROC / str(pid))


def _newest_pid() -> int:
    """The id of the process that was started last."""
    return int((PROC / "loadavg").read_text().split()[4])


def ids_of(folder: Path) -> Ids:
    """The ids of a process; raises OSError when it is gone."""
    words = (folder / "stat").read_text().rpartition(")")[2].split()
    return Ids(int(folder.name), int(words[2]), int(words[3]), int(words[19]))


def has_open(folder: Path, wanted: os.stat_result) -> bool:
    """Whether a process has the file open."""
    return any(True for _ in _descriptors(folder, wanted))


def has_locked(folder: Path, wanted: os.stat_result) -> bool:
    """Whether a process has the file open and locked, and not only open."""
    return any(
        line.startswith("lock:")
        for name in _descriptors(folder, wanted)
        for line in (folder / "fdinfo" / name).read_text().split("\n")
    )


def _descriptors(folder: Path, wanted: os.stat_result) -> Iterator[str]:
    with os.scandir(folder / "fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                info = entry.stat()
                if (info.st_dev, info.st_ino) == (wanted.st_dev, wanted.st_ino):
                    yield entry.name


def describe(folder: Path) -> dict[str, Any]:
    """A process for people; its start distinguishes it from a later one with the same id."""
    words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    uid = real_uid_of(folder)
    ids = ids_of(folder)
    up_s = float((PROC / "uptime").read_text().split()[0])
    return {
        "pid": ids.pid,
        "session": ids.session,
        "start_ticks": ids.start_ticks,
        "uid": uid,
        "user": account_name(uid),
        "age_s": max(0.0, up_s - ids.start_ticks / os.sysconf("SC_CLK_TCK")),
        # We send scripts and requests on standard input: our arguments contain no secrets.
        "command": b" ".join(words).decode("utf-8", "replace")[:120],
        "unit": unit_of(folder),
    }


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
