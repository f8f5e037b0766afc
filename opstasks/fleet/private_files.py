"""The operator's own files: only the operator may read and write them, whatever the umask is.

Every file and folder that the client makes is made here.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word
from opstasks.onhost import safe_files

FOLDER_MODE, FILE_MODE = 0o700, 0o600
ONE_LINE = "it must be one line of text: the secret"
# Links are not followed, and opening a pipe does not block.
_CAREFUL = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def make_folder(path: Path) -> None:
    """Make a folder and those above it, mode 0700; existing ones stay as they are."""
    safe_files.make_folder(path, FOLDER_MODE)


def open_file(path: Path, flags: int) -> int:
    """The descriptor of a file of mode 0600; makes the file and its folder if they are missing.

    An existing file keeps its mode. Raises OSError.
    """
    try:
        return _opened(path, flags)
    except FileNotFoundError:
        make_folder(path.parent)
        return _opened(path, flags)


def _opened(path: Path, flags: int) -> int:
    try:
        handle = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        return os.open(path, flags | os.O_CLOEXEC)
    os.fchmod(handle, FILE_MODE)
    return handle


def replace(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 in one step; raises OSError, and then an old file is still whole.

    If two runs write at once, each writes a file of its own, and the later one stays.
    """
    import tempfile  # slow, and only needed here

    make_folder(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        os.fchmod(handle, FILE_MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def read_own(path: Path, most_bytes: int) -> bytes:
    """A file of the operator; raises OSError, and ValueError for a file of someone else."""
    handle = os.open(path, os.O_RDONLY | _CAREFUL)
    with os.fdopen(handle, "rb") as file:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("it is not a file")
        if info.st_uid != os.geteuid():
            raise ValueError("it belongs to someone else")
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError("it is too long")
    return data


def read_secret(path: Path, source: str, most_bytes: int = 1 << 16) -> str:
    """The text of a file that holds a secret; `source` names it in errors.

    Raises Refused unless it is a file of the operator or root that no one else may read or write.
    A pipe of the operator (bash's `<(pass sudo)`) is read too.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            info = os.fstat(handle)
            _refuse_readable(info, path, source)
            data = file.read(most_bytes + 1)
    except OSError as error:
        hint = f"look at it: ls -l {one_word(path)}"
        raise Refused(f"cannot read {source}: {error.strerror}", hint=hint) from error
    if len(data) > most_bytes:
        raise Refused(f"{source} is too long for a secret", hint=ONE_LINE)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(f"{source} is not text", hint=ONE_LINE) from None


def _refuse_readable(info: os.stat_result, path: Path, source: str) -> None:
    if info.st_uid not in (0, os.geteuid()):
        raise Refused(f"{source} belongs to someone else", hint="make a file of your own")
    if info.st_mode & 0o077:
        mode = stat.S_IMODE(info.st_mode)
        raise Refused(
            f"{source} has mode {mode:04o}: others may read or write it",
            hint=f"chmod 600 {one_word(path)}",
        )
