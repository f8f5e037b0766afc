"""Runs on the host: what an error of the operating system means, with the place."""

import errno
import os
from pathlib import Path

from opstasks.onhost.mounts import plain

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# What programs say, by cause: those of the C library, and sqlite.
SAID = {
    "full": ("No space left on device", "Disk quota exceeded", "database or disk is full"),
    "read-only": ("Read-only file system",),
}
# File systems that answer at once: a network may not.
LOCAL = ("btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "vfat", "xfs", "zfs")
# More full file systems are not named.
NAMED = 3


def explained(error: OSError) -> str:
    """An error in words, with the path, and for a full disk, what is full."""
    text = error.strerror or str(error)
    # Only the first letter: the rest may be a path.
    text = text[:1].lower() + text[1:]
    if isinstance(error.filename, str | bytes):
        text += f": {os.fsdecode(error.filename)}"
    full = full_file_systems() if error.errno in NO_ROOM else []
    return f"{text} (full: {', '.join(full)})" if full else text


def cause_of(error: BaseException | None) -> str:
    """A word for the client, which chooses the hint: "full", "read-only", or ""."""
    if not isinstance(error, OSError):
        return cause_in(str(error))  # of sqlite
    if error.errno in NO_ROOM:
        return "full"
    return "read-only" if error.errno == errno.EROFS else ""


def cause_in(text: str) -> str:
    """The same word for what a program printed; "" if its text does not say it."""
    found = (cause for cause, texts in SAID.items() if any(part in text for part in texts))
    return next(found, "")


def full_file_systems() -> list[str]:
    """Where nothing more can be written."""
    table = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    places = [plain(words[1]) for line in table.split("\n") if _is_local(words := line.split(" "))]
    return [place for place in dict.fromkeys(places) if _is_full(place)][:NAMED]


def _is_local(words: list[str]) -> bool:
    return len(words) > 3 and words[2] in LOCAL and "rw" in words[3].split(",")


def _is_full(place: str) -> bool:
    """Whether a file system has no block or no file left for an account that is not root."""
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    return found.f_blocks > 0 and (
        found.f_bavail == 0 or (found.f_files > 0 and found.f_favail == 0)
    )
