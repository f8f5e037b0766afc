"""Runs on the host, as the service account: load, memory, disks, and the busiest processes.

Only the short name and account of a process are read: arguments may contain secrets. The request:
``interval_s`` (between two measurements), ``places`` (folders, for their disks), ``top`` (how many
processes).
"""

import os
import time
from pathlib import Path
from typing import Any

from opstasks.onhost import disk_use
from opstasks.onhost.accounts import account_name
from opstasks.onhost.limits import MAX_COUNT
from opstasks.onhost.protocol import Answer, Request

PROC = Path("/proc")


def memory(text: str) -> dict[str, int]:
    """Memory and swap in bytes, from /proc/meminfo."""
    found = {}
    for line in text.split("\n"):
        name, _, rest = line.partition(":")
        if rest.split():
            found[name] = int(rest.split()[0]) * 1024
    return {
        "memory_bytes": found.get("MemTotal", 0),
        "memory_used_bytes": max(0, found.get("MemTotal", 0) - found.get("MemAvailable", 0)),
        "swap_bytes": found.get("SwapTotal", 0),
        "swap_used_bytes": max(0, found.get("SwapTotal", 0) - found.get("SwapFree", 0)),
    }


def disks(places: Any) -> list[dict[str, Any]]:
    """Size and use of the file systems of some folders, each once."""
    found: dict[int, dict[str, Any]] = {}
    for place in places:
        try:
            device, stat = Path(place).stat().st_dev, os.statvfs(place)
        except OSError:
            continue  # it does not exist, or we have no access
        if device in found:
            found[device]["places"].append(place)
            continue
        found[device] = {
            "places": [place],
            # Some network file systems say 8 EiB when they do not know.
            "size_bytes": min(stat.f_blocks * stat.f_frsize, MAX_COUNT),
            "free_bytes": min(stat.f_bavail * stat.f_frsize, MAX_COUNT),
            "used_percent": disk_use.used_percent(stat),
            "inodes_percent": disk_use.inodes_percent(stat),
        }
    return list(found.values())


def processes() -> dict[int, tuple[float, int, str, int]]:
    """Every process: seconds of cpu, resident bytes, short name and account number."""
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
            continue  # it has ended
    return found


def parse_stat(text: str) -> tuple[str, list[str]]:
    """A line of /proc/PID/stat: the name, which may have any characters, and the other fields."""
    start, end = text.index("("), text.rindex(")")
    return text[start + 1 : end], text[end + 2 :].split()


def top(first: Any, last: Any, seconds: float, count: int) -> list[dict[str, Any]]:
    """The processes that used most cpu between two measurements; ties by memory."""
    rows = []
    for pid, (cpu, resident, name, uid) in last.items():
        before = first.get(pid, (cpu,))[0]
        used = max(0.0, cpu - before) / seconds
        rows.append(
            {"pid": pid, "name": name, "user": uid, "cpu_cores": used, "memory_bytes": resident}
        )
    rows.sort(key=lambda row: (-round(row["cpu_cores"], 2), -row["memory_bytes"]))
    return [{**row, "user": account_name(row["user"])} for row in rows[:count]]


def main(request: Request) -> Answer:
    """Answer with the state of the host."""
    began, first = time.monotonic(), processes()
    time.sleep(request["interval_s"])
    last = processes()
    seconds = max(0.001, time.monotonic() - began)
    return {
        "load": os.getloadavg(),
        "cpus": os.cpu_count() or 1,
        **memory((PROC / "meminfo").read_text()),
        "disks": disks(request["places"]),
        "processes": top(first, last, seconds, request["top"]),
    }
