"""Runs on the host, as the service account: remove one file, and record it."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from opstasks.onhost.flock import lock_within
from opstasks.onhost.protocol import Answer, HostFailure, HostRefusal, Request, error_text
from opstasks.outputs.onhost.facts import is_absent
from opstasks.outputs.onhost.folders import opened
from opstasks.outputs.onhost.hold import Unfinished, remove_from
from opstasks.outputs.onhost.records import (
    RemovalRecord,
    State,
    read_records,
    record_from,
    write_record,
)

LOCK_WAIT_S, LOCK_POLL_S = 60.0, 0.2


def main(request: Request) -> Answer:
    """Remove the file of a `record` from all `places`, the sync's source before the workspace.

    The record is written before the first change, and again after the last one. If the file is
    absent already, an interrupted removal is finished. If somebody else has removed the file since
    it was shown, nothing is recorded twice: the answer is the record of that removal.
    Raises HostRefusal when the record cannot be written: then nothing was removed.
    """
    folder = request["records"]
    record = replace(record_from(request["record"]), state="removing")
    if is_gone(record, request):
        earlier = earlier_removal(record, folder)
        if earlier.state == "removed":
            return {"record": asdict(earlier)}
        # Of our own removal, what was decided now about the source counts.
        record = record if earlier.id == record.id else earlier
    was_begun = Path(folder, f"{record.id}.json").exists()
    try:
        write_record(folder, record)
    except OSError as error:
        raise HostRefusal(f"cannot record the removal: {error_text(error)}") from error
    _remove(record, request, was_begun=was_begun)
    record = replace(_described(record, request), state="removed", removed_at=time.time(), error="")
    try:
        write_record(folder, record)
    except OSError as error:
        raise HostFailure(
            f"removed, but this could not be recorded: {error_text(error)}"
        ) from error
    return {"record": asdict(record)}


def _remove(record: RemovalRecord, request: Request, *, was_begun: bool) -> None:
    """Remove the file; an error is recorded, with whether a part of the removal was done.

    `was_begun`: an earlier run may have done a part of it.
    """
    try:
        with _sync_waits(request["sync_lock"]):
            remove_from(request["places"], record.workspace, record.file, record.id)
    except (HostFailure, OSError) as error:
        is_unfinished = was_begun or isinstance(error, Unfinished)
        state: State = "removing" if is_unfinished else "failed"
        # The reason must be reported, even if the disk is too full to record it.
        with contextlib.suppress(OSError):
            write_record(request["records"], replace(record, state=state, error=error_text(error)))
        cause = error.cause if isinstance(error, HostFailure) else ""
        raise HostFailure(error_text(error), cause=cause) from error


def _described(record: RemovalRecord, request: Request) -> RemovalRecord:
    """The record with the files that were removed: an interrupted one may be of earlier files."""
    if record.id != request["record"]["id"]:
        return record  # of somebody else, whose files were gone
    *there, here = (place["identity"] for place in request["places"])
    return replace(
        record,
        size_bytes=here.get("size_bytes", record.size_bytes),
        sha256=here.get("sha256", record.sha256),
        source_sha256=there[0].get("sha256", record.source_sha256)
        if there
        else record.source_sha256,
    )


def is_gone(record: RemovalRecord, request: Request) -> bool:
    """Whether no place has the file any more."""
    places = request["places"]
    return all(is_absent(place["root"], record.workspace, record.file) for place in places)


def earlier_removal(record: RemovalRecord, folder: str) -> RemovalRecord:
    """The removal to which it is due that a file is gone: an interrupted one, or a newer one.

    Raises HostFailure if there is none: somebody removed the file by hand.
    """
    records = read_records(folder)
    same = [r for r in records if (r.workspace, r.file) == (record.workspace, record.file)]
    interrupted = [r for r in same if r.state == "removing"]
    # The record was made when the file was shown: a removal before that was of another file.
    done = [r for r in same if r.state == "removed" and r.removed_at >= record.started_at]
    own = [r for r in interrupted if r.id == record.id]
    for found in (*own, *done, *interrupted):
        return found
    unread = [f"; {r.unreadable_text()}" for r in records if not r.is_readable][:1]
    raise HostFailure(
        f"was removed by somebody since it was shown, and no record says by whom{''.join(unread)}",
        f"the partner's copy may remain: {record.partner_path}" if record.partner_path else "",
    )


@contextlib.contextmanager
def _sync_waits(path: str) -> Iterator[None]:
    """Prevent the Level 3 sync from bringing back a file while it is being removed."""
    if not path:
        yield
        return
    with opened(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)) as fd:
        if not lock_within(fd, LOCK_WAIT_S, LOCK_POLL_S):
            raise HostFailure("the Level 3 sync is running: try again later")
        yield
