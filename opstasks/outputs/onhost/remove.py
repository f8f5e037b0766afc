"""Runs on the host, as the service account: remove one file, and record it."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace

from opstasks.onhost.flock import lock_within
from opstasks.onhost.protocol import Answer, HostFailure, Request
from opstasks.outputs.onhost.folders import opened
from opstasks.outputs.onhost.hold import remove_at
from opstasks.outputs.onhost.records import record_from, write_record

LOCK_WAIT_S, LOCK_POLL_S = 60.0, 0.2


def main(request: Request) -> Answer:
    """Remove the file of a `record` from all `places`, the sync's source before the workspace.

    The record is written before the first change, and again after the last one. If the file is
    absent already, that is not an error: an interrupted removal is finished.
    """
    folder = request["records"]
    record = replace(record_from(request["record"]), state="removing")
    try:
        write_record(folder, record)
    except OSError as error:
        raise HostFailure(f"nothing was removed: {error}") from error
    try:
        with _sync_waits(request["sync_lock"]):
            for place in request["places"]:
                remove_at(place, record.workspace, record.file, record.id)
    except (HostFailure, OSError) as error:
        # The reason must be reported, even if the disk is too full to record it.
        with contextlib.suppress(OSError):
            write_record(folder, replace(record, state="failed", error=str(error)))
        raise HostFailure(str(error)) from error
    record = replace(record, state="removed", removed_at=time.time(), error="")
    try:
        write_record(folder, record)
    except OSError as error:
        raise HostFailure(f"removed, but this could not be recorded: {error}") from error
    return {"record": asdict(record)}


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
