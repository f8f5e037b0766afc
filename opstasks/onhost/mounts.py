"""Runs on the host: where things are mounted."""

import re
from pathlib import Path


def plain(path: str) -> str:
    """A path from the kernel's tables or fstab, octal escapes resolved."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def mount_points(text: str) -> list[str]:
    """The mount points of a /proc/self/mountinfo."""
    return [plain(line.split(" ")[4]) for line in text.split("\n") if line.count(" ") > 4]


def mounted() -> list[str]:
    """Every place of this host where something is mounted."""
    table = Path("/proc/self/mountinfo")
    return mount_points(table.read_text(encoding="utf-8", errors="surrogateescape"))


def mount_of(path: str, points: list[str]) -> str:
    """The mount point that a path is on."""
    above = [p for p in points if path == p or path.startswith(p.rstrip("/") + "/")]
    return max(above, key=len, default="/")
