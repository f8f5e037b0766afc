"""Runs on the host as the service account, started by its timer: one run of the Level 3 sync.

`main` gets a JSON request ``{source, target, temp_dir, state_dir, rsync}``, does one copy, says
what it did (the journal keeps it) and leaves a record for `sync.status`. Deletes nothing but
what a run that was cut off left in the temporary directory.
"""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opstasks.onhost.flock import lock_within
from opstasks.onhost.json_files import read_json, write_json
from opstasks.onhost.mounts import mount_of, mounted

Asked = dict[str, Any]
BUSY_WAIT_S, BUSY_POLL_S = 300.0, 0.2
# A network drive that hangs must not hang the timer as well.
MOUNT_TIMEOUT_S = 30.0
SHOWN = 200
VANISHED = 24  # rsync: a file went away between listing and copying; the next run sees to it
_ITEM = re.compile(r"([<>ch.*][fdLDS][^ ]*) (\d+) (.*)")


class SyncError(Exception):
    """A run that could not be done, or not wholly."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


# -- where things are mounted -----------------------------------------------------------------


def answers(path: str) -> bool:
    """Whether a directory can be listed, asked from a process that may be left hanging."""
    probe = subprocess.Popen(
        ["ls", "-A", "--", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return probe.wait(MOUNT_TIMEOUT_S) == 0
    except subprocess.TimeoutExpired:
        probe.kill()
        return False


def check_places(asked: Asked, points: list[str]) -> None:
    """See that the source is mounted, and that a finished file can be renamed into the target."""
    source, target = (os.path.realpath(asked[name]) for name in ("source", "target"))
    if mount_of(source, points) == "/":
        raise SyncError(f"{source} is not mounted", f"mount it, then: findmnt -T {source}")
    if not answers(source):
        raise SyncError(f"{source} does not answer", f"look at its mount: findmnt -T {source}")
    if not Path(target).is_dir():
        raise SyncError(f"{target} is no directory", "run `manage`")
    inside = [p for p in points if p.startswith(target + "/")]
    if inside or mount_of(os.path.realpath(asked["temp_dir"]), points) != mount_of(target, points):
        where = inside[0] if inside else asked["temp_dir"]
        raise SyncError(f"{where} is on another file system than {target}", "unmount it")
    for one, other in ((source, target), (target, source)):
        if (one + "/").startswith(other + "/"):
            raise SyncError(f"{source} and {target} lie in each other", "correct level3_source")


# -- what must not be overwritten -------------------------------------------------------------


def clashes(source: str, target: str) -> list[str]:
    """Paths where rsync would have to delete something: a file where a directory comes, ..."""
    found = []
    for folder, folders, files in os.walk(source):
        for name in (*folders, *files):
            path = Path(folder, name)
            relative = path.relative_to(source)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue  # it went away since it was listed
            if other_kind(mode, Path(target, relative)):
                found.append(str(relative))
                if name in folders:
                    folders.remove(name)
    return sorted(found)


def other_kind(mode: int, there: Path) -> bool:
    """Whether something of another kind stands where a file or a directory comes."""
    try:
        theirs = there.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    copied = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    return copied and stat.S_IFMT(mode) != stat.S_IFMT(theirs)


def pattern(path: str) -> str:
    """A path as rsync's pattern that matches it alone; a backslash escapes only beside a `*`."""
    if not any(sign in path for sign in "*?["):
        return "/" + path
    return "/" + re.sub(r"([\\*?\[])", r"\\\1", path)


# -- copying ----------------------------------------------------------------------------------


@contextlib.contextmanager
def alone(state_dir: str, wait_s: float = BUSY_WAIT_S) -> Iterator[None]:
    """Hold the sync's own lock, which a removal of a Level 4 file takes as well."""
    Path(state_dir).mkdir(mode=0o750, parents=True, exist_ok=True)
    fd = os.open(f"{state_dir}/level3-sync.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        if not lock_within(fd, wait_s, BUSY_POLL_S):
            raise SyncError("another sync, or a removal, is at work", "wait")
        yield
    finally:
        os.close(fd)


def fresh_temp_dir(path: str) -> None:
    """An empty directory of our own; what lies there is a dead run's, as we hold the lock."""
    if Path(path).is_symlink():
        raise SyncError(f"{path} is a link", "remove it")
    shutil.rmtree(path, ignore_errors=True)
    Path(path).mkdir(mode=0o700, exist_ok=True)


def copy(asked: Asked, left_out: list[str]) -> dict[str, Any]:
    """Run rsync and count what it did; raises SyncError with what is known so far."""
    done = subprocess.run(
        asked["rsync"],
        input=b"".join(os.fsencode(pattern(path)) + b"\0" for path in left_out),
        capture_output=True,
        check=False,
    )
    told = read(done.stdout.decode("utf-8", "replace"))
    if done.returncode not in (0, VANISHED):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        told["error"] = f"rsync ended with {done.returncode}: " + " / ".join(said[-4:])
        told["hint"] = "journalctl -u opstasks-level3-sync"
    return told


def read(text: str) -> dict[str, Any]:
    """What rsync's itemised lines say: files copied, bytes, links and the like skipped."""
    told: dict[str, Any] = {"copied": 0, "bytes": 0, "items": [], "skipped": []}
    for line in text.splitlines():
        match = _ITEM.fullmatch(line)
        if match and match[1].startswith(">f"):
            told["copied"] += 1
            told["bytes"] += int(match[2])
            told["items"].append(match[3])
        elif line.startswith("skipping non-regular file "):
            told["skipped"].append(line.partition('"')[2].rpartition('"')[0])
    return told


# -- a run ------------------------------------------------------------------------------------


def run(asked: Asked, points: list[str]) -> dict[str, Any]:
    """One run, as a record; every foreseeable failure is part of it."""
    record: dict[str, Any] = {"started": time.time(), "ended": 0.0, "error": "", "hint": ""}
    try:
        with alone(asked["state_dir"]):
            note(asked, record)
            check_places(asked, points)
            fresh_temp_dir(asked["temp_dir"])
            source, target = (os.path.realpath(asked[name]) for name in ("source", "target"))
            record["clashes"] = clashes(source, target)
            record.update(copy(asked, record["clashes"]))
            shutil.rmtree(asked["temp_dir"], ignore_errors=True)
    except SyncError as error:
        record.update(error=error.reason, hint=error.hint)
    except OSError as error:
        record.update(error=str(error), hint="journalctl -u opstasks-level3-sync")
    if not record["error"] and record.get("clashes"):
        names = ", ".join(map(repr, record["clashes"][:5]))
        record["error"] = f"not copied, something else stands in their place: {names}"
        record["hint"] = "move away what stands there"
    record["ended"] = time.time()
    note(asked, record)
    return record


def note(asked: Asked, record: dict[str, Any]) -> None:
    """Write the record, whole or not at all, with the time of the last success."""
    path = Path(asked["state_dir"], "level3-sync.json")
    success = read_json(path).get("last_success", 0.0)
    if record["ended"] and not record["error"]:
        success = record["ended"]
    short = {**record}
    for name in ("items", "skipped", "clashes"):
        short[name] = record.get(name, [])[:SHOWN]
    write_json(path, {"last": short, "last_success": success}, 0o640)


def tell(record: dict[str, Any]) -> None:
    """What the journal keeps."""
    for name in record.get("items", [])[:SHOWN]:
        print("copied", ascii(name))
    for name in record.get("skipped", [])[:SHOWN]:
        print("skipped, no regular file:", ascii(name))
    print(f"{record.get('copied', 0)} file(s), {record.get('bytes', 0)} byte(s) copied")
    if record["error"]:
        print(f"error: {record['error'].encode('ascii', 'backslashreplace').decode()}")


def main(request: str) -> None:
    """Do a run and end with its exit code."""
    record = run(json.loads(request), mounted())
    tell(record)
    sys.exit(1 if record["error"] else 0)
