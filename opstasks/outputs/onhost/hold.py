"""Runs on the host: remove one file in two moves, so that no other file is ever removed instead.

The file is renamed to a place that nothing else uses, where no other process can replace it. If it
is then the same file that was shown, and its folder is still in the workspace, it is unlinked.
Anything else is renamed back.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Any

from opstasks.onhost.protocol import HostFailure
from opstasks.outputs.onhost.facts import Facts, differs, facts_of
from opstasks.outputs.onhost.folders import (
    FOLDER,
    lies_in,
    open_folder,
    open_root,
    opened,
    parent_of,
)

_TAKEN = "another file now has its name; the old file is held as {!r}"


def remove_at(place: dict[str, Any], workspace: str, path: str, held: str) -> None:
    """Remove a file below one root; `held` is a name of our own.

    `place` is {root, hold, identity, sha256}: the shown file, and the hash in the record. If the
    file is absent already, that is not an error. Raises HostFailure for any other file.
    """
    parts = [workspace, *path.split("/")]
    with opened(open_root(place["root"])) as top, opened(_open_hold(place["hold"])) as hold:
        _finish(held, hold, place["sha256"])
        try:
            with parent_of(top, parts) as folder, opened(open_folder(workspace, top)) as home:
                _capture(parts[-1], folder, held, hold, place["identity"], home)
                _settle(folder)
        except FileNotFoundError:
            pass  # absent already
        _settle(hold)
    with contextlib.suppress(OSError):  # another removal's file may still be held there
        Path(place["hold"]).rmdir()


def _settle(folder: int) -> None:
    """Make a removal survive a power cut; network drives do not support this."""
    with contextlib.suppress(OSError):
        os.fsync(folder)


def _open_hold(path: str) -> int:
    """The folder where a file is held; raises HostFailure when another account may write there."""
    with contextlib.suppress(FileExistsError):
        Path(path).mkdir(mode=0o700)
    fd = os.open(path, FOLDER)
    info = os.fstat(fd)
    if info.st_uid != os.geteuid() or info.st_mode & 0o022:
        # A Windows drive has no owners: all files have the same one.
        same_owner = Path(path).parent.stat().st_uid == info.st_uid
        if not same_owner:
            os.close(fd)
            raise HostFailure(f"{path} can be changed by other accounts")
    return fd


def _finish(held: str, hold: int, sha256: str) -> None:
    """Finish a removal that was interrupted between rename and unlink."""
    try:
        if facts_of(held, hold)["sha256"] != sha256:
            raise HostFailure(f"another file is held as {held!r}: inspect it")
    except FileNotFoundError:
        return
    os.unlink(held, dir_fd=hold)


def _capture(name: str, folder: int, held: str, hold: int, identity: Facts, home: int) -> None:
    """Move the file to the hold, compare it again, and unlink it."""
    changed = differs(facts_of(name, folder), identity)
    if changed:
        raise HostFailure(f"changed since it was shown: {changed}")
    os.rename(name, held, src_dir_fd=folder, dst_dir_fd=hold)
    try:
        changed = differs(facts_of(held, hold), identity)
        if changed:
            raise HostFailure(f"was replaced meanwhile: {changed}")
        if not lies_in(folder, home):
            raise HostFailure("its folder was moved away meanwhile")
    except (HostFailure, OSError):
        _put_back(name, folder, held, hold)
        raise
    os.unlink(held, dir_fd=hold)


def _put_back(name: str, folder: int, held: str, hold: int) -> None:
    """Rename the file back, but never over a file that has the name by now."""
    if stat.S_ISDIR(os.stat(held, dir_fd=hold, follow_symlinks=False).st_mode):
        os.rename(held, name, src_dir_fd=hold, dst_dir_fd=folder)
        return
    try:
        os.link(held, name, src_dir_fd=hold, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise HostFailure(_TAKEN.format(held)) from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        _rename_back(name, folder, held, hold)  # a drive without hard links
        return
    os.unlink(held, dir_fd=hold)


def _rename_back(name: str, folder: int, held: str, hold: int) -> None:
    """Rename the file back on a drive without hard links."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(held, name, src_dir_fd=hold, dst_dir_fd=folder)
        return
    raise HostFailure(_TAKEN.format(held))
