"""Runs on the host: copies of files that our programs replace, without secrets.

A copy of NAME is called ``NAME.bak-TIME-NN``. Files with other names are not ours, and stay.
"""

import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

from opstasks.onhost.masking import masked_file
from opstasks.onhost.protocol import HostFailure
from opstasks.onhost.safe_files import (
    Unsafe,
    look,
    make_folder,
    open_folder,
    read,
    read_at,
    staged,
)

# The number of copies of each file; the oldest are deleted first.
KEEP = 20


def keep(
    folder: int,
    name: str,
    data: bytes,
    give: Callable[[int], None],
    without_secrets: Callable[[str], str] | None = None,
) -> None:
    """Keep a content as a copy of `name`, in an open folder; each content only once.

    Older copies lose their secrets, too: a replaced secret must be gone. `give` sets the rights of
    a copy, which is an open file. `without_secrets` masks a text, if more is known than the name.
    """
    mask = without_secrets or (lambda text: masked_file(name, text))

    def cleaned(content: bytes) -> bytes:
        text = mask(content.decode("utf-8", "surrogateescape"))
        return text.encode("utf-8", "surrogateescape")

    data, known, kept = cleaned(data), False, copies(folder, name)
    place = Path(f"/proc/self/fd/{folder}").readlink()  # for the text of an error
    for other in kept:
        content = read_at(folder, other, path=f"{place}/{other}")
        if content != (clean := cleaned(content)):
            _put(folder, other, clean, give)
        known |= clean == data
    if known:
        return
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    taken = [int(other[-2:]) for other in kept if moment in other]
    new = f"{name}.bak-{moment}-{max(taken, default=-1) + 1:02}"
    _put(folder, new, data, give)
    # One from the future counts as old: the host's clock was set back since then.
    oldest_first = sorted(kept, key=lambda other: (other < new, other))
    for old in oldest_first[: max(0, len(kept) + 1 - KEEP)]:
        os.unlink(old, dir_fd=folder)


def copies(folder: int, name: str) -> list[str]:
    """The names of a file's copies, except those of people and other tools."""
    pattern = re.compile(re.escape(name) + r"\.bak-\d{8}T\d{6}Z-\d\d")
    return [
        other
        for other in os.listdir(folder)
        if pattern.fullmatch(other)
        and stat.S_ISREG(os.stat(other, dir_fd=folder, follow_symlinks=False).st_mode)
    ]


def keep_replaced(path: str, top: str) -> None:
    """Keep the content of a plain file below the folder `top`, which only we may read.

    Not beside it: in some folders, every file takes effect. Raises what `to_keep` raises.
    """
    info = look(path)
    if info is None or not stat.S_ISREG(info.st_mode):
        return
    data = to_keep(path)
    place = Path(f"{top}{path}")
    make_folder(place.parent, 0o700)
    folder = open_folder(str(place.parent))
    try:
        keep(folder, place.name, data, lambda handle: os.fchmod(handle, 0o600))
    finally:
        os.close(folder)


def to_keep(path: str) -> bytes:
    """The content of a plain file that is about to be replaced.

    Raises HostFailure for a file that cannot be read safely: its content would be lost, and with it
    a person's edit. Raises OSError.
    """
    try:
        return read(path)
    except Unsafe as error:
        text = f"the content of {path} cannot be kept; move it away"
        raise HostFailure(text, str(error)) from error


def _put(folder: int, name: str, data: bytes, give: Callable[[int], None]) -> None:
    with staged(folder, name, data) as (beside, handle):
        give(handle)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
