"""Runs on the host: the records of releases, one file each, written at every step."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from opstasks.onhost.folder_rights import closed, refuse_closed
from opstasks.onhost.json_files import read_json, write_json
from opstasks.onhost.limits import LATEST_AT, moment
from opstasks.onhost.release_records import Record, read_all

# The JSON of `opstasks.deploy.release.ReleaseSpec`.
ReleaseSpec = dict[str, Any]
# The fields of the spec that a record copies: enough to finish or undo the release.
KEPT = (
    "id",
    "who",
    "kind",
    "ref",
    "from_code",
    "to_code",
    "from_lib",
    "to_lib",
    "from_name",
    "to_name",
    "restore_from",
)
# The checkouts of a release, in the order in which they are moved.
CHECKOUTS = ("lib", "code")
# The folders in the state's folder to which a release writes.
FOLDERS = ("releases", "snapshots", "kept")
# The least distance between two releases in their order.
STEP_S = 0.001
# What a release is assumed to have done if its record was lost: it can be finished and undone.
UNKNOWN: Record = {
    "step": "moving",
    "outcome": "",
    "was_active": True,
    "known_exceptions": [],
    "containers": [],
}


def record_path(spec: ReleaseSpec) -> Path:
    """The file of this release's record."""
    return Path(spec["state_dir"], "releases", spec["id"] + ".json")


def read_record(spec: ReleaseSpec) -> Record:
    """The record so far; empty for a release that has not begun, or if it cannot be read."""
    return read_json(record_path(spec))


def has_begun(spec: ReleaseSpec) -> bool:
    """Whether a release has begun; people may have removed its record meanwhile."""
    return any(map(os.path.lexists, (record_path(spec), snapshot_path(spec))))


def begun_record(spec: ReleaseSpec) -> Record:
    """The record of a release that has begun; what is missing of it is taken from the spec.

    People may remove or damage a record meanwhile. The release must be able to end all the same.
    """
    found = read_record(spec)
    usual = {key: found.get(key) for key in UNKNOWN}
    known = {key: value for key, value in usual.items() if isinstance(value, type(UNKNOWN[key]))}
    kept = {key: spec[key] for key in KEPT}
    record = {**found, **UNKNOWN, **known, **kept}
    if not started_at(record):
        record |= {"started": time.time(), "order": next_order(spec["state_dir"])}
    if "from_version" not in record and os.path.lexists(snapshot_path(spec)):
        record |= of_snapshot(spec)
    return record


def next_order(state_dir: str) -> float:
    """The place of a new release after all others: now, or more if the clock was set back.

    In seconds since the epoch, but only for sorting: it is not when the release began.
    """
    good, _ = read_all(state_dir)
    last = max(map(order_of, good.values()), default=0.0)
    return moment(max(time.time(), last + STEP_S))


def order_of(record: Record) -> float:
    """The place of a release among the others, for sorting; 0 if its record does not tell."""
    return seconds(record.get("order")) or started_at(record)


def started_at(record: Record) -> float:
    """When a release began, in seconds since the epoch; 0 if its record does not tell."""
    return seconds(record.get("started"))


def seconds(value: Any) -> float:
    """Seconds since the epoch; 0 for anything else."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= LATEST_AT else 0


def of_snapshot(spec: ReleaseSpec) -> Record:
    """What the snapshot of the database tells about a release."""
    # The client imports this module, too.
    import sqlite3

    from opstasks.deploy.onhost.database_read import version_and_schema

    found: Record = {"snapshot": str(snapshot_path(spec))}
    with contextlib.suppress(sqlite3.Error):
        found["from_version"] = version_and_schema(snapshot_path(spec))[0]
    return found


def write_record(spec: ReleaseSpec, **changes: Any) -> Record:
    """Change the record atomically; returns the new record, which is complete."""
    record = {**begun_record(spec), **changes}
    path = record_path(spec)
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_json(path, record, 0o640)
    return record


def snapshot_path(spec: ReleaseSpec, suffix: str = ".sqlite") -> Path:
    """The copy of the database from before this release."""
    return Path(spec["state_dir"], "snapshots", spec["id"] + suffix)


def closed_folders(state_dir: str) -> list[dict[str, str]]:
    """The folders that a release could not write to: JSON of `deploy.facts.ClosedFolder`."""
    found = [(name, closed(f"{state_dir}/{name}")) for name in FOLDERS]
    return [{"name": name, "place": what.place, "why": what.why} for name, what in found if what]


def refuse_closed_folders(state_dir: str) -> None:
    """Raise HostRefusal for a folder that a release could not write to."""
    refuse_closed(*(f"{state_dir}/{name}" for name in FOLDERS))
