"""Runs on the host as the service account: lists, looks at and removes Level 4 files.

`main` gets a JSON request whose ``do`` names a function of `ACTIONS`, and prints a JSON answer.

Nothing here follows a link below a root: every folder is opened by its name in the folder above
(``openat`` with ``O_NOFOLLOW``). A file is removed in two moves: it is renamed to a place that
nobody else uses, where nobody can exchange it any more; there it must turn out to be the very
file that was shown, and its folder must still lie in the workspace; only then it is unlinked.
Anything else goes back under its name.
"""

import contextlib
import errno
import hashlib
import json
import os
import pwd
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opstasks.onhost.flock import lock_within
from opstasks.onhost.json_files import write_json
from opstasks.onhost.mounts import mount_of, mounted

Facts = dict[str, Any]
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LIMIT = 20_000
LOCK_WAIT_S, LOCK_POLL_S = 60.0, 0.2
# What must be the same when a file is removed as it was when it was shown.
# A network drive may number its files anew: there the numbers are left out.
IDENTITY = ("dev", "ino", "size", "mtime_ns", "sha256")

TAKEN = "another file took its name; what was taken is held as {!r}"


class OutputError(Exception):
    """Cannot be done; nothing was removed."""


# -- ways inside a root -----------------------------------------------------------------------


@contextlib.contextmanager
def opened(fd: int) -> Iterator[int]:
    """A descriptor that is closed at the end."""
    try:
        yield fd
    finally:
        os.close(fd)


def open_root(path: str) -> int:
    """The root itself; where it lies is the configuration's business, links included."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_folder(name: str, above: int) -> int:
    """A folder by its name in another one; raises OutputError for a link."""
    if name in ("", ".", "..") or "/" in name:
        raise OutputError(f"{name!r} is no name of a folder")
    try:
        return os.open(name, FOLDER, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise OutputError(f"{name!r} is a link, or no folder: not followed") from None
        raise


@contextlib.contextmanager
def parent_of(root: int, parts: list[str]) -> Iterator[int]:
    """The folder that holds a file, reached folder by folder from the root."""
    fd = os.dup(root)
    try:
        for part in parts[:-1]:
            below = open_folder(part, fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two are the same thing on the disk."""
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def lies_in(folder: int, top: int) -> bool:
    """Whether a folder is below another one (or is it) at this moment, asked going upward."""
    goal = os.fstat(top)
    fd = os.dup(folder)
    try:
        for _ in range(512):
            here = os.fstat(fd)
            if same(here, goal):
                return True
            above = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = above
            if same(here, os.fstat(fd)):
                return False
        return False
    finally:
        os.close(fd)


# -- looking ----------------------------------------------------------------------------------


def facts_of(name: str, folder: int) -> Facts:
    """One regular file: identity, size, owner, age, hash; raises OutputError for another kind."""
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise OutputError("is no regular file")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with opened(os.open(name, flags, dir_fd=folder)) as fd:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise OutputError("is no regular file")
        digest = hashlib.sha256()
        while block := os.read(fd, 1 << 20):
            digest.update(block)
    return {
        "dev": info.st_dev,
        "ino": info.st_ino,
        "size": info.st_size,
        "mtime_ns": info.st_mtime_ns,
        "owner": owner(info.st_uid),
        "sha256": digest.hexdigest(),
    }


def owner(uid: int) -> str:
    """An account's name, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def look(asked: dict[str, Any]) -> dict[str, Any]:
    """How each file stands, in the workspace and in the sync's source."""
    found: dict[str, Any] = {}
    for path in asked["files"]:
        found[path] = {
            "here": look_at(asked["root"], asked["workspace"], path),
            "source": look_at(asked["source"], asked["workspace"], path) if asked["source"] else {},
        }
    return {"files": found, "source_away": is_away(asked["source"]), "now": time.time()}


def is_away(source: str) -> bool:
    """Whether the sync's source is not to be seen: what the mount hides is still a folder."""
    if not source:
        return False
    return not Path(source).is_dir() or mount_of(os.path.realpath(source), mounted()) == "/"


def look_at(root: str, workspace: str, path: str) -> Facts:
    """The facts of a file; empty where there is none, a reason under `error`."""
    parts = [workspace, *path.split("/")]
    try:
        with opened(open_root(root)) as top, parent_of(top, parts) as folder:
            return facts_of(parts[-1], folder)
    except FileNotFoundError:
        return {}
    except (OutputError, OSError) as error:
        return {"error": str(error)}


def listing(asked: dict[str, Any]) -> dict[str, Any]:
    """Every file of a workspace, or the workspaces with their sizes when none is named."""
    with opened(open_root(asked["root"])) as top:
        if not asked["workspace"]:
            return {"workspaces": [summary(name, top) for name in names(top)], "now": time.time()}
        try:
            fd = open_folder(asked["workspace"], top)
        except FileNotFoundError:
            raise OutputError(f"there is no such workspace: {asked['workspace']}") from None
        with opened(fd) as folder:
            files = []
            for entry in walk(folder, ""):
                files.append(entry)
                if len(files) > LIMIT:
                    raise OutputError(f"it holds more than {LIMIT} files")
    return {"files": sorted(files, key=lambda entry: str(entry["path"])), "now": time.time()}


def names(top: int) -> list[str]:
    """The folders in a root."""
    with os.scandir(top) as found:
        return sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))


def summary(name: str, top: int) -> Facts:
    """A workspace: how many files, how large together, the newest one's time."""
    count, size, newest = 0, 0, 0.0
    try:
        with opened(open_folder(name, top)) as folder:
            for entry in walk(folder, ""):
                count += 1
                size += entry["size"]
                newest = max(newest, entry["mtime"])
    except (OutputError, OSError) as error:
        return {"name": name, "error": str(error)}
    return {"name": name, "files": count, "size": size, "newest": newest}


def walk(folder: int, prefix: str) -> Iterator[Facts]:
    """Everything that is no folder, at any depth, no link followed."""
    with os.scandir(folder) as found:
        entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
    for name, is_folder in entries:
        try:
            if is_folder:
                with opened(open_folder(name, folder)) as below:
                    yield from walk(below, f"{prefix}{name}/")
                continue
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (OutputError, FileNotFoundError):
            continue  # it went away, or was exchanged, while we looked
        kind = (
            "file"
            if stat.S_ISREG(info.st_mode)
            else "link"
            if stat.S_ISLNK(info.st_mode)
            else ("other")
        )
        yield {
            "path": prefix + name,
            "kind": kind,
            "size": info.st_size,
            "owner": owner(info.st_uid),
            "mtime": info.st_mtime,
        }


# -- removing ---------------------------------------------------------------------------------


def remove(asked: dict[str, Any]) -> dict[str, Any]:
    """Remove one file: in the sync's source first when that is asked for, then in the workspace.

    The record is written before and after, so that it tells the truth whatever happens between.
    A file that is gone already is no failure: a run that was cut off is finished.
    """
    record = asked["record"]
    write_record(asked["records"], {**record, "state": "removing"})
    try:
        with sync_waits(asked["sync_lock"]):
            for place in asked["places"]:
                remove_at(place, record["workspace"], record["file"], asked["held"])
    except (OutputError, OSError) as error:
        # The reason is to be heard, also where there is no room to write it down.
        with contextlib.suppress(OSError):
            write_record(asked["records"], {**record, "state": "failed", "error": str(error)})
        raise
    write_record(asked["records"], {**record, "state": "removed", "removed": time.time()})
    return {}


@contextlib.contextmanager
def sync_waits(path: str) -> Iterator[None]:
    """Keep the Level 3 sync from bringing a file back while it is being removed."""
    if not path:
        yield
        return
    with opened(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)) as fd:
        if not lock_within(fd, LOCK_WAIT_S, LOCK_POLL_S):
            raise OutputError("the Level 3 sync is at work: try again later")
        yield


def remove_at(place: dict[str, Any], workspace: str, path: str, held: str) -> None:
    """Remove a file below one root; `held` is a name of our own.

    `place` is {root, hold, facts, sha256}: what is there now, and what the record says.
    """
    parts = [workspace, *path.split("/")]
    with opened(open_root(place["root"])) as top, opened(open_hold(place["hold"])) as hold:
        finish(held, hold, place["sha256"])
        try:
            with parent_of(top, parts) as folder, opened(open_folder(workspace, top)) as home:
                capture(parts[-1], folder, held, hold, place["facts"], home)
                settle(folder)
        except FileNotFoundError:
            pass  # gone already
        settle(hold)
    with contextlib.suppress(OSError):  # somebody else's file may still lie there
        Path(place["hold"]).rmdir()


def settle(folder: int) -> None:
    """Have a removal survive a power cut; a network drive sees to that by itself."""
    with contextlib.suppress(OSError):
        os.fsync(folder)


def open_hold(path: str) -> int:
    """The place where a file is looked at for the last time: ours alone."""
    with contextlib.suppress(FileExistsError):
        Path(path).mkdir(mode=0o700)
    fd = os.open(path, FOLDER)
    info = os.fstat(fd)
    if info.st_uid != os.geteuid() or info.st_mode & 0o022:
        # A Windows drive knows no owners: there every file is everybody's.
        same_owner = Path(path).parent.stat().st_uid == info.st_uid
        if not same_owner:
            os.close(fd)
            raise OutputError(f"{path} is not ours alone")
    return fd


def finish(held: str, hold: int, sha256: str) -> None:
    """Bring a run to its end that was cut off between the two moves."""
    try:
        if facts_of(held, hold)["sha256"] != sha256:
            raise OutputError(f"another file is held as {held!r}: look at it")
    except FileNotFoundError:
        return
    os.unlink(held, dir_fd=hold)


def capture(name: str, folder: int, held: str, hold: int, facts: Facts, home: int) -> None:
    """The two moves."""
    changed = differs(facts_of(name, folder), facts)
    if changed:
        raise OutputError(f"is not as it was shown any more: {changed}")
    os.rename(name, held, src_dir_fd=folder, dst_dir_fd=hold)
    try:
        changed = differs(facts_of(held, hold), facts)
        if changed:
            raise OutputError(f"was exchanged meanwhile: {changed}")
        if not lies_in(folder, home):
            raise OutputError("its folder was moved away meanwhile")
    except (OutputError, OSError):
        put_back(name, folder, held, hold)
        raise
    os.unlink(held, dir_fd=hold)


def put_back(name: str, folder: int, held: str, hold: int) -> None:
    """Give what was taken its name again, never over something that has the name by now."""
    if stat.S_ISDIR(os.stat(held, dir_fd=hold, follow_symlinks=False).st_mode):
        os.rename(held, name, src_dir_fd=hold, dst_dir_fd=folder)
        return
    try:
        os.link(held, name, src_dir_fd=hold, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise OutputError(TAKEN.format(held)) from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        rename_back(name, folder, held, hold)  # a drive that knows no hard links
        return
    os.unlink(held, dir_fd=hold)


def rename_back(name: str, folder: int, held: str, hold: int) -> None:
    """The same where a name cannot be given without taking the other one."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(held, name, src_dir_fd=hold, dst_dir_fd=folder)
        return
    raise OutputError(TAKEN.format(held))


def differs(now: Facts, shown: Facts) -> str:
    """In what a file is not the one that was shown; empty when it is."""
    if "sha256" not in shown:
        return "it was not there"
    return ", ".join(key for key in IDENTITY if key in shown and now.get(key) != shown[key])


# -- records ----------------------------------------------------------------------------------


def write_record(folder: str, record: dict[str, Any]) -> None:
    """Write what is known of a removal, whole or not at all."""
    path = Path(folder, record["id"] + ".json")
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_json(path, record, 0o640)


def read_records(folder: str) -> list[dict[str, Any]]:
    """Every record, newest first; a broken one is left out."""
    found = []
    for path in Path(folder).glob("*.json"):
        try:
            record = json.loads(path.read_text())
            found.append({**record, "time": float(record["time"])})
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda record: float(record["time"]), reverse=True)


def records(asked: dict[str, Any]) -> dict[str, Any]:
    """The records, each with whether its file is there again."""
    found = read_records(asked["records"])
    for record in found:
        record["returned"] = is_there(asked["root"], record["workspace"], record["file"])
    return {"records": found, "now": time.time()}


def is_there(root: str, workspace: str, path: str) -> bool:
    """Whether anything has the name."""
    parts = [workspace, *path.split("/")]
    try:
        with opened(open_root(root)) as top, parent_of(top, parts) as folder:
            os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
    except (OutputError, OSError):
        return False
    return True


def attest(asked: dict[str, Any]) -> dict[str, Any]:
    """Write down who did the partner's steps; what was attested before stays as it is."""
    changed = []
    for record in read_records(asked["records"]):
        if record["id"] in asked["ids"] and not record.get("attested"):
            write_record(asked["records"], {**record, "attested": asked["attested"]})
            changed.append(record["id"])
    return {"changed": changed}


ACTIONS = {
    "look": look,
    "list": listing,
    "remove": remove,
    "records": records,
    "attest": attest,
}


def main(request: str) -> None:
    """Answer a request; what cannot be done is an answer, too."""
    asked = json.loads(request)
    try:
        answer = ACTIONS[asked["do"]](asked)
    except (OutputError, OSError) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))
