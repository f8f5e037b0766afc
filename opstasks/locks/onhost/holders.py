"""Runs on the host as root: which processes hold a lock file, and stopping them.

`main` gets a JSON request ``{lock, stop, grace_s, kill}``. With `stop`, a list of ``[pid, start]``
as shown before, it ends these processes, as far as they still are the ones that were shown and
still have the lock open, and prints what is left.
"""

import contextlib
import json
import os
import pwd
import signal
import time
from pathlib import Path
from typing import Any

PROC = Path("/proc")


def holders(lock: str) -> list[dict[str, Any]]:
    """Every process that has the file open, oldest first."""
    try:
        wanted = Path(lock).stat()
    except FileNotFoundError:
        return []
    found = []
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if int(folder.name) != os.getpid() and has_open(folder, wanted):
                found.append(describe(folder))
    return sorted(found, key=lambda process: (process["start"], process["pid"]))


def has_open(folder: Path, wanted: os.stat_result) -> bool:
    """Whether a process has the file among its descriptors."""
    for fd in (folder / "fd").iterdir():
        with contextlib.suppress(OSError):
            info = fd.stat()
            if (info.st_dev, info.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False


def describe(folder: Path) -> dict[str, Any]:
    """A process for people, and when it started, by which it is told from a later one."""
    words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    uid = folder.stat().st_uid
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    start = start_of(folder)
    up_s = float((PROC / "uptime").read_text().split()[0])
    return {
        "pid": int(folder.name),
        "start": start,
        "user": user,
        "age_s": max(0.0, up_s - start / os.sysconf("SC_CLK_TCK")),
        # Scripts and requests travel on standard input: an argument holds no secret of ours.
        "command": b" ".join(words).decode("utf-8", "replace")[:120],
        "unit": unit_of(folder),
    }


def start_of(folder: Path) -> int:
    """When a process started, in ticks since the boot."""
    return int((folder / "stat").read_text().rpartition(")")[2].split()[19])


def unit_of(folder: Path) -> str:
    """The systemd unit that a process belongs to; empty for a login's."""
    for part in reversed((folder / "cgroup").read_text().replace("\n", "/").split("/")):
        if part.endswith(".service") and not part.startswith(("user@", "ssh")):
            return part
    return ""


def stop(lock: str, shown: list[list[int]], grace_s: float, kill: bool) -> None:
    """Ask the processes to end; after a while, if wanted, end them."""
    send(lock, shown, signal.SIGTERM)
    if not wait_until_gone(lock, shown, grace_s) and kill:
        send(lock, shown, signal.SIGKILL)
        wait_until_gone(lock, shown, 5.0)


def still(lock: str, shown: list[list[int]]) -> list[int]:
    """Those of the shown processes that still have the lock open."""
    wanted = {(pid, start) for pid, start in shown}
    return [p["pid"] for p in holders(lock) if (p["pid"], p["start"]) in wanted]


def send(lock: str, shown: list[list[int]], number: signal.Signals) -> None:
    """Signal processes through descriptors, so that no number can have passed to another one."""
    starts = {pid: start for pid, start in shown}
    for pid in still(lock, shown):
        with contextlib.suppress(OSError):
            fd = os.pidfd_open(pid)
            try:
                if start_of(PROC / str(pid)) == starts[pid]:
                    signal.pidfd_send_signal(fd, number)
            finally:
                os.close(fd)


def wait_until_gone(lock: str, shown: list[list[int]], limit_s: float) -> bool:
    """Whether none is left within the time."""
    deadline = time.monotonic() + limit_s
    while still(lock, shown):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def main(request: str) -> None:
    """Answer a request."""
    asked = json.loads(request)
    if asked["stop"]:
        stop(asked["lock"], asked["stop"], asked["grace_s"], asked["kill"])
    print(json.dumps({"holders": holders(asked["lock"])}))
