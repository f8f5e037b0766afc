"""Runs on the host: reads text files that other accounts may have made.

A link, a FIFO or a device is not read, and a large file only in part.
"""

import os
import stat
from pathlib import Path

MOST_BYTES = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def text_of(path: str, most_bytes: int = MOST_BYTES) -> str | None:
    """The text of a plain file, up to a size; None for anything else. Invalid bytes become '�'."""
    try:
        handle = os.open(path, _FLAGS)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as stream:
        return stream.read(most_bytes).decode("utf-8", "replace")


def names_in(path: str) -> list[str]:
    """The names in a folder, sorted; none if it cannot be read."""
    try:
        return sorted(entry.name for entry in Path(path).iterdir())
    except OSError:
        return []
