"""Runs on the host: safe access to paths that pass through other people's folders.

A path is opened folder by folder. A link in the path is followed only when it is root's own (or our
own, when we are not root), in a folder that only its owner may write. So a person cannot make root
read or write elsewhere with a link in their home. Only regular files are read, only up to a size,
and a pipe or a device in place of a file is never waited for. All changes are made to an open file,
not to a name.
"""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MOST_LINKS = 20
# How deep a tree is followed: jobs make the trees, and can make them as deep as they like.
MOST_LEVELS = 100
TOO_DEEP = f"more than {MOST_LEVELS} folders deep"
# More than any file that we read whole; a larger one is not ours.
MAX_BYTES = 16 << 20


class Unsafe(OSError):
    """A path goes through someone else's link, or to something that is not a file of ours."""


def open_folder(path: str) -> int:
    """Open a folder; raises Unsafe for a link in the path that is not root's."""
    here = os.open("/", FOLDER)
    parts = [part for part in path.split("/") if part]
    links = 0
    try:
        while parts:
            name = parts.pop(0)
            try:
                there = os.open(name, FOLDER, dir_fd=here)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                target = _root_link(here, name, path)
                links += 1
                if links > MOST_LINKS:
                    raise Unsafe(f"{path}: too many links") from None
                parts = [*(part for part in target.split("/") if part), *parts]
                if not target.startswith("/"):
                    continue
                there = os.open("/", FOLDER)
            os.close(here)
            here = there
    except BaseException:
        os.close(here)
        raise
    return here


def _root_link(folder: int, name: str, path: str) -> str:
    """The target of a link, if it may be followed."""
    info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    around = os.fstat(folder)
    if not stat.S_ISLNK(info.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, f"{path}: {name} is not a directory")
    ours = {0, os.geteuid()}
    if info.st_uid not in ours or around.st_uid not in ours or around.st_mode & 0o022:
        raise Unsafe(f"{path}: {name} is a link that someone other than root may have made")
    return os.readlink(name, dir_fd=folder)


def behind_links(path: str) -> str:
    """The path of the file to which a link leads; raises Unsafe for a link that is not root's.

    A path that is no link stays as it is.
    """
    for _ in range(MOST_LINKS):
        with parent_of(path) as (folder, name):
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISLNK(info.st_mode):
                return path
            target = _root_link(folder, name, path)
        path = str(PurePosixPath(path).parent / target)
    raise Unsafe(f"{path}: too many links")


@contextmanager
def parent_of(path: str) -> Iterator[tuple[int, str]]:
    """The open folder that contains a path, and the path's last name."""
    place = PurePosixPath(path)
    folder = open_folder(str(place.parent))
    try:
        yield folder, place.name
    finally:
        os.close(folder)


def look(path: str) -> os.stat_result | None:
    """The state of a path, without following a link; None when it does not exist."""
    try:
        with parent_of(path) as (folder, name):
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def read(path: str, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a plain file; raises Unsafe for anything else and for a larger file."""
    with parent_of(path) as (folder, name):
        return read_at(folder, name, max_bytes, path=path)


def read_at(folder: int, name: str, max_bytes: int = MAX_BYTES, *, path: str = "") -> bytes:
    """The content of a plain file in an open folder, as `read`; `path` is for messages."""
    path = path or name
    handle = os.open(name, PLAIN, dir_fd=folder)
    with os.fdopen(handle, "rb") as stream:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise Unsafe(f"{path} is not a plain file")
        if info.st_nlink > 1 and os.geteuid() == 0:
            raise Unsafe(f"{path} has several hard links; inspect it")
        # It may grow while it is read.
        data = b"" if info.st_size > max_bytes else stream.read(max_bytes + 1)
        if info.st_size > max_bytes or len(data) > max_bytes:
            raise Unsafe(f"{path} is larger than {max_bytes >> 20} MiB")
        return data


def check_owned_by_root(path: str) -> None:
    """Raise Unsafe when an account other than root may replace a folder of a path.

    Folders that do not exist yet count as safe: root makes them.
    """
    for whole in {path, os.path.realpath(path)}:
        place = PurePosixPath(whole)
        for folder in (*reversed(place.parents), place):
            with suppress(FileNotFoundError):
                info = Path(folder).lstat()
                if info.st_uid != 0 or is_open_folder(info):
                    raise Unsafe(f"{folder} is not a folder that only root may change")


def is_open_folder(info: os.stat_result) -> bool:
    """Whether others may replace what is in a folder; a sticky one protects its entries."""
    others_write = bool(info.st_mode & 0o022) and not info.st_mode & stat.S_ISVTX
    return stat.S_ISDIR(info.st_mode) and others_write


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder and those above it with a mode, whatever the umask is.

    Existing ones stay as they are.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        with suppress(FileExistsError):  # another run has made it
            each.mkdir(mode=mode)
            each.chmod(mode)


def is_too_deep(folder: str) -> bool:
    """Whether the folders in a folder are left out: each level keeps a file open.

    `folder` is a path with one "/" for each level, such as `os.fwalk` gives.
    """
    return folder.count("/") >= MOST_LEVELS


def ids(owner: str, group: str) -> tuple[int, int]:
    """The numbers of an owner and a group, given by name or number; raises LookupError."""
    return (
        int(owner) if owner.isdigit() else pwd.getpwnam(owner).pw_uid,
        int(group) if group.isdigit() else grp.getgrnam(group).gr_gid,
    )


def fits(info: os.stat_result, owner: tuple[int, int], good: dict[int, set[int]]) -> bool:
    """Whether an entry has the right owner and one of the allowed modes of its kind."""
    modes = good.get(stat.S_IFMT(info.st_mode))
    if modes is None:
        return True
    return (info.st_uid, info.st_gid) == owner and stat.S_IMODE(info.st_mode) in modes


def give(handle: int, owner: str, group: str, mode: str) -> None:
    """Set an open file's rights: owner first, because a change of owner can clear mode bits."""
    os.fchown(handle, *ids(owner, group))
    os.fchmod(handle, int(mode, 8))


def set_rights(folder: int, name: str, owner: str, group: str, mode: str) -> None:
    """Set the rights of a plain file or folder, never of a link or a file with hard links."""
    handle = os.open(name, PLAIN, dir_fd=folder)
    try:
        info = os.fstat(handle)
        if not stat.S_ISDIR(info.st_mode) and (info.st_nlink > 1 or not stat.S_ISREG(info.st_mode)):
            raise Unsafe(f"{name} has several hard links or is not a plain file; inspect it")
        give(handle, owner, group, mode)
    finally:
        os.close(handle)


@contextmanager
def staged(folder: int, name: str, data: bytes) -> Iterator[tuple[str, int]]:
    """A new file of mode 0600 beside `name`: its name and an open handle; deleted afterwards."""
    beside = f".{name}.{os.urandom(6).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(beside, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(handle, "wb", closefd=False) as stream:
            stream.write(data)
        os.fsync(handle)
        yield beside, handle
    finally:
        os.close(handle)
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)


def put_link(path: str, target: str) -> None:
    """Make a link (owned by root): under a temporary name, then renamed."""
    with parent_of(path) as (folder, name):
        beside = f".{name}.{os.urandom(6).hex()}"
        os.symlink(target, beside, dir_fd=folder)
        try:
            os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=folder)


def put(path: str, data: bytes, owner: str, group: str, mode: str) -> None:
    """Write a whole file: under a temporary name, given its rights, renamed."""
    with parent_of(path) as (folder, name), staged(folder, name, data) as (beside, handle):
        give(handle, owner, group, mode)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
