"""Runs on the host, as the service account: load, memory, disks, and what uses most.

Of a process only its short name and account are told: arguments may hold secrets.
"""

import json
import os
import pwd
import time
from pathlib import Path
from typing import Any

PROC = Path("/proc")


def memory(text: str) -> dict[str, int]:
    """Memory and swap in bytes, from /proc/meminfo."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if rest.split():
            found[name] = int(rest.split()[0]) * 1024
    return {
        "memory": found.get("MemTotal", 0),
        "memory_used": found.get("MemTotal", 0) - found.get("MemAvailable", 0),
        "swap": found.get("SwapTotal", 0),
        "swap_used": found.get("SwapTotal", 0) - found.get("SwapFree", 0),
    }


def disks(places: Any) -> list[dict[str, Any]]:
    """Size and use of the file systems of some places, each named once."""
    found: dict[int, dict[str, Any]] = {}
    for place in places:
        try:
            device, stat = Path(place).stat().st_dev, os.statvfs(place)
        except OSError:
            continue  # not there, or not to be seen
        if device in found:
            found[device]["places"].append(place)
            continue
        size = stat.f_blocks * stat.f_frsize
        free = stat.f_bavail * stat.f_frsize
        inodes = 100 * (1 - stat.f_favail / stat.f_files) if stat.f_files else 0
        found[device] = {"places": [place], "size": size, "free": free, "inodes_percent": inodes}
    return list(found.values())


def processes() -> dict[int, tuple[float, int, str, int]]:
    """Every process: seconds of cpu, resident bytes, short name, account."""
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    found = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name, fields = parse_stat((entry / "stat").read_text(errors="replace"))
            found[int(entry.name)] = (
                (int(fields[11]) + int(fields[12])) / tick,
                int(fields[21]) * page,
                name,
                entry.stat().st_uid,
            )
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile
    return found


def parse_stat(text: str) -> tuple[str, list[str]]:
    """A line of /proc/PID/stat: the name, which may hold anything, and what stands after it."""
    start, end = text.index("("), text.rindex(")")
    return text[start + 1 : end], text[end + 2 :].split()


def top(first: Any, last: Any, seconds: float, count: int) -> list[dict[str, Any]]:
    """The processes that use most cpu between two looks, then most memory."""
    rows = []
    for pid, (cpu, resident, name, uid) in last.items():
        before = first.get(pid, (cpu,))[0]
        used = max(0.0, cpu - before) / seconds
        rows.append({"pid": pid, "name": name, "user": uid, "cpu": used, "memory": resident})
    rows.sort(key=lambda row: (-round(row["cpu"], 2), -row["memory"]))
    for row in rows[:count]:
        row["user"] = account(row["user"])
    return rows[:count]


def account(uid: int) -> str:
    """An account's name, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def main(request: str) -> None:
    """Print how the host stands."""
    asked = json.loads(request)
    began, first = time.monotonic(), processes()
    time.sleep(asked["interval_s"])
    last = processes()
    seconds = max(0.001, time.monotonic() - began)
    answer = {
        "load": list(os.getloadavg()),
        "cpus": os.cpu_count() or 1,
        **memory((PROC / "meminfo").read_text()),
        "disks": disks(asked["places"]),
        "processes": top(first, last, seconds, asked["top"]),
    }
    print(json.dumps(answer))
