"""Reading files of keys and settings, without waiting for a pipe or reading without end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

# OpenSSH reads no key file that is longer.
KEY_FILE_BYTES = 1 << 20
# For lists of keys, such as known_hosts: half a million lines.
KEY_LIST_BYTES = 64 << 20


class OddFileError(OSError):
    """A path that exists, but is not a file that can be read to its end."""


def read_file(path: Path, most_bytes: int) -> bytes:
    """A file's contents; raises OddFileError for a pipe or a very long file, or another OSError."""
    # Without O_NONBLOCK, a pipe is waited for when it is opened.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise OddFileError(errno.ESPIPE, "it is a pipe, not a file")
        data = file.read(most_bytes + 1) or b""
    if len(data) > most_bytes:
        raise OddFileError(errno.EFBIG, f"it is longer than {most_bytes >> 20} MiB")
    return data
