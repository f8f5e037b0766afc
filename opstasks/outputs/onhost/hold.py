"""Runs on the host: remove one file in two moves, so that no other file is ever removed instead.

The file is renamed to a place that nothing else uses, where no other process can replace it. It is
unlinked if it is then the same file that was shown, and its folder is still in the workspace, and
if the same is true of its copies in the other places. Otherwise all are renamed back.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from opstasks.onhost.disk_errors import cause_of
from opstasks.onhost.protocol import HostFailure, error_text
from opstasks.outputs.onhost.facts import Facts, differs, facts_of
from opstasks.outputs.onhost.folders import (
    FOLDER,
    lies_in,
    open_folder,
    open_root,
    opened,
    parent_of,
)

Place = dict[str, Any]
# The word for the client that tells an unfinished removal from one that changed nothing.
UNFINISHED = "unfinished"
_TAKEN = "another file now has its name; the old file is held as {!r}"


class Unfinished(HostFailure):
    """A part of a removal was done: a file is gone, or is still held."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, cause=UNFINISHED)


def remove_from(places: Sequence[Place], workspace: str, path: str, held: str) -> None:
    """Remove one file below several roots; `held` is a name of our own.

    A place is {what, root, hold, identity, sha256}: its name in errors ("": none), the shown file,
    and the hash in the record. All files are held and compared before the first one is unlinked.
    If a file is absent already, that is not an error. After HostFailure or OSError, every file is
    where it was; Unfinished is raised if not.
    """
    removed: list[str] = []
    with contextlib.ExitStack() as stack:
        unlinks = [stack.enter_context(_taken(place, workspace, path, held)) for place in places]
        for place, unlink in zip(places, unlinks, strict=True):
            try:
                if unlink() and place["what"]:
                    removed.append(f"{place['what']} was removed")
            except OSError as error:
                what = f"{place['what'] or 'the file'} is held in {place['hold']}"
                text = f"{what}, and not removed: {error_text(error)}"
                raise Unfinished("; ".join([*removed, text])) from error
    for place in places:
        with contextlib.suppress(OSError):  # another removal's file may still be held there
            Path(place["hold"]).rmdir()


@contextlib.contextmanager
def _taken(place: Place, workspace: str, path: str, held: str) -> Iterator[Callable[[], bool]]:
    """Hold the file of one place while inside; yields what unlinks it, if it was there.

    If another place raises an error inside, the file is put back.
    """
    parts = [workspace, *path.split("/")]
    with contextlib.ExitStack() as opening:
        with _named(place["what"]):
            top = opening.enter_context(opened(open_root(place["root"])))
            hold = opening.enter_context(opened(_open_hold(place["hold"])))
            _finish(held, hold, place["sha256"])
            folder = _capture(parts, top, held, hold, place["identity"])
        if folder is None:
            _settle(hold)
            yield lambda: False
            return
        opening.enter_context(opened(folder))
        try:
            yield lambda: _unlink(held, hold, folder)
        except Unfinished:
            raise
        except (HostFailure, OSError):
            with _named(place["what"]):
                _put_back(parts[-1], folder, held, hold)
            raise


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Put the name of a place before its errors."""
    try:
        yield
    except HostFailure as error:
        error.reason = f"{what}: {error.reason}" if what else error.reason
        raise
    except OSError as error:
        if not what:
            raise
        raise HostFailure(f"{what}: {error_text(error)}", cause=cause_of(error)) from error


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


def _capture(parts: list[str], top: int, held: str, hold: int, identity: Facts) -> int | None:
    """Move the file to the hold and compare it; returns its folder, None if it is absent."""
    try:
        with parent_of(top, parts) as folder, opened(open_folder(parts[0], top)) as home:
            _move(parts[-1], folder, held, hold, identity, home)
            return os.dup(folder)
    except FileNotFoundError:
        return None


def _move(name: str, folder: int, held: str, hold: int, identity: Facts, home: int) -> None:
    """Move the file to the hold, and compare it again; another file is put back."""
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


def _unlink(held: str, hold: int, folder: int) -> bool:
    """Remove a held file, and settle both folders."""
    os.unlink(held, dir_fd=hold)
    _settle(folder)
    _settle(hold)
    return True


def _put_back(name: str, folder: int, held: str, hold: int) -> None:
    """Rename the file back, but never over a file that has the name by now.

    Raises Unfinished when it stays in the hold.
    """
    try:
        if stat.S_ISDIR(os.stat(held, dir_fd=hold, follow_symlinks=False).st_mode):
            os.rename(held, name, src_dir_fd=hold, dst_dir_fd=folder)
        else:
            _link_back(name, folder, held, hold)
    except FileExistsError:
        raise Unfinished(_TAKEN.format(held)) from None
    except OSError as error:
        raise Unfinished(f"the file is held as {held!r}: {error_text(error)}") from error


def _link_back(name: str, folder: int, held: str, hold: int) -> None:
    """Give the file its name back; raises FileExistsError when another file has it."""
    try:
        os.link(held, name, src_dir_fd=hold, dst_dir_fd=folder, follow_symlinks=False)
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
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
