"""Runs on the host: reads text files and folders that other accounts may have made.

A link, a FIFO or a device is not read, and a large file only in part. It may run as root: a link in
the path is followed only if `opstasks.onhost.safe_files` follows it. Otherwise an account could
make root open any file of a known name, for example a device's `config` in /sys.
"""

import itertools
import os
import stat

from opstasks.onhost.safe_files import PLAIN, behind_links, look, open_folder, parent_of

MOST_BYTES = 1 << 20
# More than the processes of a host, whose names are read in /proc.
MOST_NAMES = 100_000


def text_of(path: str, most_bytes: int = MOST_BYTES) -> str | None:
    """The text of a plain file, up to a size; None for anything else. Invalid bytes become '�'."""
    try:
        with parent_of(path) as (folder, name):
            handle = os.open(name, PLAIN, dir_fd=folder)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as stream:
        return stream.read(most_bytes).decode("utf-8", "replace")


def text_for_root(path: str, most_bytes: int = MOST_BYTES) -> tuple[str, bool]:
    """The text of a file that a program of root's reads, and whether this is all of it.

    Such a program follows every link. Here a link is followed if it is root's, in a folder that
    only root may write. A file that does not exist is an empty text, as it is for the program.
    """
    try:
        with parent_of(behind_links(path)) as (folder, name):
            handle = os.open(name, PLAIN, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return "", True
    except OSError:
        return "", False
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return "", False
    with os.fdopen(handle, "rb") as stream:
        data = stream.read(most_bytes + 1)
    return data[:most_bytes].decode("utf-8", "replace"), len(data) <= most_bytes


def names_in(path: str) -> list[str]:
    """The names in a folder, sorted, at most MOST_NAMES; none if it cannot be read."""
    try:
        folder = open_folder(path)
    except OSError:
        return []
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in itertools.islice(entries, MOST_NAMES))
    except OSError:
        return []
    finally:
        os.close(folder)


def mode_of(path: str) -> int:
    """The kind and the rights of a path, without following a link; 0 if it cannot be looked at."""
    try:
        info = look(path)
    except OSError:
        return 0
    return info.st_mode if info else 0
