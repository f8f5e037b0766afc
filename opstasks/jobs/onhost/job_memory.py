"""Runs on the host: how much memory a job's container uses, as the kernel counts it.

Docker's own answer takes a second, because it waits for its next measurement. These are three small
files for each container.
"""

from pathlib import Path

from opstasks.onhost.limits import MAX_COUNT

PROC, CGROUPS = "/proc", "/sys/fs/cgroup"
# Folder, file with the use, and the name of cache that can be freed at once, of both versions.
_VERSION_1 = ("memory", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = ("", "memory.current", "inactive_file")


def used_bytes(pid: int, *, proc: str = PROC, cgroups: str = CGROUPS) -> int | None:
    """What the control group of a process uses, without freeable cache; None if not known."""
    try:
        listed = Path(proc, str(pid), "cgroup").read_text()
        (folder, used, cache), place = _group(listed)
        here = Path(cgroups, folder, place.lstrip("/"))
        freeable = _value(here / "memory.stat", cache)
        found = int((here / used).read_text()) - freeable
    except (OSError, ValueError):
        return None
    return min(max(0, found), MAX_COUNT)


def _group(listed: str) -> tuple[tuple[str, str, str], str]:
    """The version whose memory controller a process is in, and its place; raises ValueError."""
    lines = [line.split(":", 2) for line in listed.split("\n") if line.count(":") >= 2]
    places = {name: place for _, names, place in lines for name in names.split(",")}
    if "memory" in places:
        return _VERSION_1, places["memory"]
    if "" in places:
        return _VERSION_2, places[""]
    raise ValueError(listed)


def _value(path: Path, name: str) -> int:
    pairs = (line.partition(" ") for line in path.read_text().split("\n"))
    return next((int(value) for key, _, value in pairs if key == name), 0)
