"""Runs on the host as the service account, started by its timer: one run of the Level 3 sync.

`main` copies once, prints what it did (for the journal) and writes a record for `sync.status`. It
deletes only what an interrupted run left in the temporary directory.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from opstasks.onhost.disk_errors import explained
from opstasks.onhost.flock import lock_within
from opstasks.onhost.formats import first_names, plural
from opstasks.onhost.mounts import mount_of, mounted
from opstasks.onhost.protocol import Answer, Request
from opstasks.sync.onhost import records
from opstasks.sync.onhost.records import RunRecord
from opstasks.sync.onhost.survey import Survey, complaints, pattern

JOURNAL = "journalctl -u opstasks-level3-sync"
BUSY_WAIT_S, BUSY_POLL_S = 300.0, 0.2
# A network drive that hangs must not block the timer.
MOUNT_TIMEOUT_S = 30.0
# rsync's exit code for a file that disappeared before it was copied: this is not a failure.
VANISHED = 24
# rsync's exit code after it could not read or write some files: it copied the others.
PARTIAL = 23
# The most paths in a message; the record has more.
NAMED = 5
_ITEM = re.compile(r"([<>ch.*][fdLDS][^ ]*) ([0-9]{1,20}) (.*)")


class SyncError(Exception):
    """A run that failed, or copied only some files."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


# -- where things are mounted -----------------------------------------------------------------


def listing_problem(path: str) -> str:
    """Why a directory cannot be listed; a separate process checks it, as it may hang."""
    probe = subprocess.Popen(
        ["ls", "-A", "--", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        close_fds=True,  # if it hangs, it must not keep the lock
    )
    try:
        said = probe.communicate(timeout=MOUNT_TIMEOUT_S)[1].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        probe.kill()
        return f"{path} does not answer"
    if probe.returncode == 0:
        return ""
    return f"{path} cannot be listed: {said.strip().rpartition(': ')[2]}"


def check_places(request: Request, points: list[str]) -> None:
    """Check that the source is mounted, and that a file can be renamed into the target."""
    source, target = (os.path.realpath(request[name]) for name in ("source", "target"))
    if mount_of(source, points) == "/":
        raise SyncError(f"{source} is not mounted", f"mount it, then: findmnt -T {source}")
    problem = listing_problem(source)
    if problem:
        raise SyncError(problem, f"check its mount and its rights: findmnt -T {source}")
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


def copy(request: Request, record: RunRecord, left_out: list[str]) -> None:
    """Run rsync without these paths, and record what it did, also when it fails."""
    done = subprocess.run(
        request["rsync"],
        input=b"".join(os.fsencode(pattern(path)) + b"\0" for path in left_out),
        capture_output=True,
        close_fds=False,
        check=False,
    )
    said = done.stderr.decode("utf-8", "replace").strip().split("\n")
    failed = complaints(said) if done.returncode == PARTIAL else []
    record.uncopied += failed
    note_items(record, done.stdout.decode("utf-8", "replace"), failed)
    if done.returncode not in (0, VANISHED) and not failed:
        record.error = f"rsync ended with {done.returncode}: " + " / ".join(said[-4:])
        record.hint = JOURNAL


def note_items(record: RunRecord, text: str, failed: Sequence[str] = ()) -> None:
    """Record rsync's itemised lines: files copied, bytes, and skipped links and other types.

    A line about a file comes before its last step, a rename: those that `failed` do not count.
    """
    paths = {line.rpartition(": ")[0] for line in failed}
    for line in text.split("\n"):
        match = _ITEM.fullmatch(line)
        if match and match[1].startswith(">f") and match[3] not in paths:
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
            # A full disk of the records is no reason to copy nothing: the last write reports it.
            with contextlib.suppress(OSError):
                records.write(path, record)
            copy_all(request, points, record)
    except SyncError as error:
        record.error, record.hint = error.reason, error.hint
    except OSError as error:
        record.error, record.hint = explained(error), JOURNAL
    judge(record)
    record.ended_at = time.time()
    keep(path, record)
    return record


def keep(path: Path, record: RunRecord) -> None:
    """Write the record of a run that has ended; a run without its record has failed."""
    try:
        records.write(path, record)
    except OSError as error:
        done = f"copied {plural(record.copied, 'file')}, but"
        done = f"{record.error};" if record.error else done
        record.error = f"{done} its record cannot be written: {explained(error)}"


def judge(record: RunRecord) -> None:
    """A run that left files out has failed, and says how many others it copied."""
    if record.error or not (record.clashes or record.uncopied):
        return
    parts, hints = [], []
    if record.clashes:
        names = first_names([repr(path) for path in record.clashes], NAMED)
        parts.append(f"not copied, because something else is in their place: {names}")
        hints.append("move the other files away")
    if record.uncopied:
        parts.append(f"not copied, because of errors: {first_names(record.uncopied, NAMED)}")
        hints.append("correct the rights, or what else is wrong with these paths")
    record.error = f"{'; '.join(parts)} (copied: {record.copied} files)"
    record.hint = "; ".join(hints)


def copy_all(request: Request, points: list[str], record: RunRecord) -> None:
    """Check the places, find the clashes, copy the rest; raises SyncError or OSError."""
    check_places(request, points)
    fresh_temp_dir(request["temp_dir"])
    source, target = (os.path.realpath(request[name]) for name in ("source", "target"))
    found = Survey(source, target)
    record.clashes, record.uncopied = found.clashes, found.uncopied
    copy(request, record, found.left_out)
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
        # Our code has a bug: show it in the journal.
        traceback.print_exc()
        sys.exit(1)
    tell(record)
    if record.error:
        sys.exit(1)
    return {"copied": record.copied, "copied_bytes": record.copied_bytes}
