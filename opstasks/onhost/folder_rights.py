"""Runs on the host: whether this account may write to a folder of ours, before anything is changed.

Programs make such a folder when they first need it. A person, or a program of root, may have made
it before, and then the first write fails in the middle of a change.
"""

import os
from pathlib import Path
from typing import NamedTuple

from opstasks.onhost.accounts import account_name
from opstasks.onhost.disk_errors import cause_of
from opstasks.onhost.protocol import HostRefusal

# Why a folder is closed. The client chooses the hint by these words.
NO_FOLDER = "it is not a folder"
READ_ONLY = "its file system is read-only"
# For the client, as `HostRefusal.cause`: a person must change rights, or move something away.
CLOSED = "closed"
CAUSES = {NO_FOLDER: "no folder", READ_ONLY: "read-only"}


class Closed(NamedTuple):
    """What prevents that a folder is written to: the folder, or one above it; and why."""

    place: str
    why: str


def closed(path: str) -> Closed | None:
    """What prevents this account from writing to a folder; None if it may, or may make it.

    A folder that is missing is made later, so the nearest one above it counts.
    """
    place = Path(path)
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not is_folder(place):
        return Closed(str(place), NO_FOLDER)
    if os.access(place, os.R_OK | os.W_OK | os.X_OK):
        return None
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return Closed(str(place), READ_ONLY)
    info = place.stat()
    if info.st_uid == os.geteuid():
        return Closed(str(place), f"its mode is {info.st_mode & 0o7777:04o}")
    return Closed(str(place), f"it belongs to {account_name(info.st_uid)}")


def is_folder(place: Path) -> bool:
    """Whether there is a folder; a link to where we may not look leads to none."""
    try:
        return place.is_dir()
    except OSError:
        return False


def refuse_closed(*paths: str) -> None:
    """Raise HostRefusal for the first folder that this account may not write to."""
    for found in filter(None, map(closed, paths)):
        raise HostRefusal(f"cannot write to {found.place}: {found.why}", cause=cause_for(found))


def cause_for(found: Closed) -> str:
    """The word for the client, which chooses the hint."""
    return CAUSES.get(found.why, CLOSED)


def cause_of_error(path: str, error: OSError) -> str:
    """The word for an error of reading a folder: what closes the folder, else the disk, or ""."""
    found = closed(path)
    return cause_for(found) if found else cause_of(error)
