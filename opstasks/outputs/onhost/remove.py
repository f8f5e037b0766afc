"""Runs on the host, as the service account: remove one file, and record it."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace

from opstasks.onhost.flock import lock_within
from opstasks.onhost.protocol import Answer, HostFailure, Request, error_text
from opstasks.outputs.onhost.facts import is_absent
from opstasks.outputs.onhost.folders import opened
from opstasks.outputs.onhost.hold import remove_at
from opstasks.outputs.onhost.records import (
    RemovalRecord,
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
    """
    folder = request["records"]
    record = replace(record_from(request["record"]), state="removing")
    if is_gone(record, request):
        earlier = earlier_removal(record, folder)
        if earlier.state == "removed":
            return {"record": asdict(earlier)}
        record = earlier
    try:
        write_record(folder, record)
    except OSError as error:
        raise HostFailure(f"nothing was removed: {error_text(error)}") from error
    try:
        with _sync_waits(request["sync_lock"]):
            for place in request["places"]:
                remove_at(place, record.workspace, record.file, record.id)
    except (HostFailure, OSError) as error:
        # The reason must be reported, even if the disk is too full to record it.
        with contextlib.suppress(OSError):
            write_record(folder, replace(record, state="failed", error=error_text(error)))
        raise HostFailure(error_text(error)) from error
    record = replace(record, state="removed", removed_at=time.time(), error="")
    try:
        write_record(folder, record)
    except OSError as error:
        raise HostFailure(
            f"removed, but this could not be recorded: {error_text(error)}"
        ) from error
    return {"record": asdict(record)}


def is_gone(record: RemovalRecord, request: Request) -> bool:
    """Whether no place has the file any more."""
    places = request["places"]
    return all(is_absent(place["root"], record.workspace, record.file) for place in places)


def earlier_removal(record: RemovalRecord, folder: str) -> RemovalRecord:
    """The removal to which it is due that a file is gone: an interrupted one, or a newer one.

    Raises HostFailure if there is none: somebody removed the file by hand.
    """
    same = [
        r for r in read_records(folder) if (r.workspace, r.file) == (record.workspace, record.file)
    ]
    interrupted = [r for r in same if r.state == "removing"]
    # The record was made when the file was shown: a removal before that was of another file.
    done = [r for r in same if r.state == "removed" and r.removed_at >= record.started_at]
    own = [r for r in interrupted if r.id == record.id]
    for found in (*own, *done, *interrupted):
        return found
    raise HostFailure(
        "was removed by somebody since it was shown, and no record says by whom",
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
