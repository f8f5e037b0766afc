"""Runs on the host: opening folders inside a root without following links.

Every folder is opened by its name in the folder above (``openat`` with ``O_NOFOLLOW``).
"""

import contextlib
import errno
import os
from collections.abc import Iterator

from opstasks.onhost.protocol import HostFailure

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# More than the depth of any valid path.
DEPTH = 512


@contextlib.contextmanager
def opened(fd: int) -> Iterator[int]:
    """A descriptor that is closed at the end."""
    try:
        yield fd
    finally:
        os.close(fd)


def open_root(path: str) -> int:
    """The root itself. Its path may contain links, because it comes from the configuration."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_folder(name: str, above: int) -> int:
    """A folder by its name in another one; raises HostFailure for a link."""
    if name in ("", ".", "..") or "/" in name:
        raise HostFailure(f"{name!r} is not the name of a folder")
    try:
        return os.open(name, FOLDER, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise HostFailure(f"{name!r} is a link, or not a folder: not followed") from None
        raise


@contextlib.contextmanager
def parent_of(root: int, parts: list[str]) -> Iterator[int]:
    """The folder of a file, opened folder by folder from the root."""
    fd = os.dup(root)
    try:
        for part in parts[:-1]:
            below = open_folder(part, fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def lies_in(folder: int, top: int) -> bool:
    """Whether a folder is now below another one (or is it); checked upwards."""
    goal = os.fstat(top)
    fd = os.dup(folder)
    try:
        for _ in range(DEPTH):
            here = os.fstat(fd)
            if _same(here, goal):
                return True
            above = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = above
            if _same(here, os.fstat(fd)):
                return False
        return False
    finally:
        os.close(fd)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two entries are the same on the disk."""
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
