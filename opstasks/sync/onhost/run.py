"""Runs on the host as the service account, started by its timer: one run of the Level 3 sync.

`main` copies once, prints what it did (for the journal) and writes a record for `sync.status`. It
deletes only what an interrupted run left in the temporary directory.
"""

import contextlib
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from opstasks.onhost.flock import lock_within
from opstasks.onhost.mounts import mount_of, mounted
from opstasks.onhost.protocol import Answer, Request
from opstasks.sync.onhost import records
from opstasks.sync.onhost.records import RunRecord

JOURNAL = "journalctl -u opstasks-level3-sync"
BUSY_WAIT_S, BUSY_POLL_S = 300.0, 0.2
# A network drive that hangs must not block the timer.
MOUNT_TIMEOUT_S = 30.0
# rsync's exit code for a file that disappeared before it was copied: this is not a failure.
VANISHED = 24
_ITEM = re.compile(r"([<>ch.*][fdLDS][^ ]*) (\d+) (.*)")


class SyncError(Exception):
    """A run that failed, or copied only some files."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


# -- where things are mounted -----------------------------------------------------------------


def answers(path: str) -> bool:
    """Whether a directory can be listed; a separate process checks it, as it may hang."""
    probe = subprocess.Popen(
        ["ls", "-A", "--", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        close_fds=True,  # if it hangs, it must not keep the lock
    )
    try:
        return probe.wait(MOUNT_TIMEOUT_S) == 0
    except subprocess.TimeoutExpired:
        probe.kill()
        return False


def check_places(request: Request, points: list[str]) -> None:
    """Check that the source is mounted, and that a file can be renamed into the target."""
    source, target = (os.path.realpath(request[name]) for name in ("source", "target"))
    if mount_of(source, points) == "/":
        raise SyncError(f"{source} is not mounted", f"mount it, then: findmnt -T {source}")
    if not answers(source):
        raise SyncError(f"{source} does not answer", f"check its mount: findmnt -T {source}")
    if not Path(target).is_dir():
        raise SyncError(f"{target} is not a directory", "run `manage`")
    inside = [p for p in points if p.startswith(target + "/")]
    if inside or mount_of(os.path.realpath(request["temp_dir"]), points) != mount_of(
        target, points
    ):
        where = inside[0] if inside else request["temp_dir"]
        raise SyncError(f"{where} is on another file system than {target}", "unmount it")
    for one, other in ((source, target), (target, source)):
        if (one + "/").startswith(other + "/"):
            raise SyncError(f"{source} and {target} overlap", "correct level3_source")


# -- what must not be overwritten -------------------------------------------------------------


def clashes(source: str, target: str) -> list[str]:
    """Paths where rsync would have to delete something: a file in place of a directory, ..."""
    found = []
    for folder, folders, files in os.walk(source):
        for name in (*folders, *files):
            path = Path(folder, name)
            relative = path.relative_to(source)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue  # it was removed after it was listed
            if other_kind(mode, Path(target, relative)):
                found.append(str(relative))
                if name in folders:
                    folders.remove(name)
    return sorted(found)


def other_kind(mode: int, there: Path) -> bool:
    """Whether something of another kind is where a file or a directory would go."""
    try:
        theirs = there.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    copied = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    return copied and stat.S_IFMT(mode) != stat.S_IFMT(theirs)


def pattern(path: str) -> str:
    """A path as an rsync pattern for only that path; a backslash escapes only beside a `*`."""
    if not any(sign in path for sign in "*?["):
        return "/" + path
    return "/" + re.sub(r"([\\*?\[])", r"\\\1", path)


# -- copying ----------------------------------------------------------------------------------


@contextlib.contextmanager
def alone(state_dir: str, wait_s: float = BUSY_WAIT_S) -> Iterator[None]:
    """Hold the sync's own lock, which a removal of a Level 4 file also takes."""
    Path(state_dir).mkdir(mode=0o750, parents=True, exist_ok=True)
    fd = os.open(f"{state_dir}/{records.LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        if not lock_within(fd, wait_s, BUSY_POLL_S):
            raise SyncError("another sync, or a removal, is in progress", "wait")
        os.set_inheritable(fd, True)  # rsync holds the lock as well, if it outlives us
        yield
    finally:
        os.close(fd)


def fresh_temp_dir(path: str) -> None:
    """Make an empty directory; we hold the lock, so any content is from a dead run."""
    if Path(path).is_symlink():
        raise SyncError(f"{path} is a link", "remove it")
    shutil.rmtree(path, ignore_errors=True)
    Path(path).mkdir(mode=0o700, exist_ok=True)


def copy(request: Request, record: RunRecord) -> None:
    """Run rsync without the clashes, and record what it did, also when it fails."""
    done = subprocess.run(
        request["rsync"],
        input=b"".join(os.fsencode(pattern(path)) + b"\0" for path in record.clashes),
        capture_output=True,
        close_fds=False,
        check=False,
    )
    note_items(record, done.stdout.decode("utf-8", "replace"))
    if done.returncode not in (0, VANISHED):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        record.error = f"rsync ended with {done.returncode}: " + " / ".join(said[-4:])
        record.hint = JOURNAL


def note_items(record: RunRecord, text: str) -> None:
    """Record rsync's itemised lines: files copied, bytes, and skipped links and other types."""
    for line in text.split("\n"):
        match = _ITEM.fullmatch(line)
        if match and match[1].startswith(">f"):
            record.copied += 1
            record.copied_bytes += int(match[2])
            record.items.append(match[3])
        elif line.startswith("skipping non-regular file "):
            record.skipped.append(line.partition('"')[2].rpartition('"')[0])


# -- a run ------------------------------------------------------------------------------------


def run(request: Request, points: list[str]) -> RunRecord:
    """Do one run; returns its record, which includes every expected failure."""
    record = RunRecord(started_at=time.time())
    path = Path(request["state_dir"], records.FILE)
    try:
        with alone(request["state_dir"]):
            records.write(path, record)
            copy_all(request, points, record)
    except SyncError as error:
        record.error, record.hint = error.reason, error.hint
    except OSError as error:
        record.error, record.hint = str(error), JOURNAL
    if not record.error and record.clashes:
        names = ", ".join(map(repr, record.clashes[:5]))
        record.error = f"not copied, because something else is in their place: {names}"
        record.hint = "move the other files away"
    record.ended_at = time.time()
    records.write(path, record)
    return record


def copy_all(request: Request, points: list[str], record: RunRecord) -> None:
    """Check the places, find the clashes, copy the rest; raises SyncError or OSError."""
    check_places(request, points)
    fresh_temp_dir(request["temp_dir"])
    source, target = (os.path.realpath(request[name]) for name in ("source", "target"))
    record.clashes = clashes(source, target)
    copy(request, record)
    shutil.rmtree(request["temp_dir"], ignore_errors=True)


def tell(record: RunRecord) -> None:
    """Write names and the error to standard error, which goes to the journal."""
    lines = [f"copied {name!a}" for name in record.items[: records.KEPT_NAMES]]
    lines += [f"skipped, not a regular file: {n!a}" for n in record.skipped[: records.KEPT_NAMES]]
    if record.error:
        lines.append(f"error: {record.error.encode('ascii', 'backslashreplace').decode()}")
    for line in lines:
        print(line, file=sys.stderr)


def main(request: Request) -> Answer:
    """Do a run; exits with 1 when it failed, so that systemd knows."""
    try:
        record = run(request, mounted())
    except Exception:
        # The record could not be written, or our code has a bug: show it in the journal.
        traceback.print_exc()
        sys.exit(1)
    tell(record)
    if record.error:
        sys.exit(1)
    return {"copied": record.copied, "copied_bytes": record.copied_bytes}
