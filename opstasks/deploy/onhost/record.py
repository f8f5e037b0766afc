"""Runs on the host: the records of releases, one file each, written at every step."""

import contextlib
import errno
import json
import os
import time
from pathlib import Path
from typing import Any

from opstasks.onhost.folder_rights import closed, refuse_closed
from opstasks.onhost.json_files import read_json, write_json
from opstasks.onhost.protocol import HostRefusal
from opstasks.onhost.safe_files import read

# The JSON of `opstasks.deploy.release.ReleaseSpec`.
ReleaseSpec = dict[str, Any]
Record = dict[str, Any]
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
# The folders in the state's folder to which a release writes.
FOLDERS = ("releases", "snapshots", "kept")
# They tell where a release moves code and dependencies.
COMMITS = ("from_code", "to_code", "from_lib", "to_lib")
# What a release is assumed to have done if its record was lost: it can be finished and undone.
UNKNOWN: Record = {
    "step": "moving",
    "outcome": "",
    "was_active": True,
    "known_exceptions": [],
    "containers": [],
}
# Instead of a release: all of them.
ALL = ""
# Why a record cannot be used, besides what the system says: it is not JSON, or not complete.
DAMAGED = "it is damaged"


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
    record = {"started": time.time(), **found, **UNKNOWN, **known, **kept}
    if "from_version" not in record and os.path.lexists(snapshot_path(spec)):
        record |= of_snapshot(spec)
    return record


def of_snapshot(spec: ReleaseSpec) -> Record:
    """What the snapshot of the database tells about a release."""
    # The client imports this module, too.
    import sqlite3

    from opstasks.deploy.onhost.database_read import version_and_schema

    found: Record = {"snapshot": str(snapshot_path(spec))}
    with contextlib.suppress(sqlite3.Error):
        found["from_version"] = version_and_schema(snapshot_path(spec))[0]
    return found


def read_all(state_dir: str) -> tuple[dict[str, Record], dict[str, str]]:
    """The records by release; and the releases whose record cannot be used, with the reason.

    The release ALL stands for the folder. A record that cannot be used may be of an unfinished
    release.
    """
    folder = Path(state_dir, "releases")
    try:
        paths = [path for path in sorted(folder.iterdir()) if path.suffix == ".json"]
    except FileNotFoundError:
        return {}, {}
    except OSError as error:
        found = closed(str(folder))
        return {}, {ALL: found.why if found else reason(error)}
    good: dict[str, Record] = {}
    bad: dict[str, str] = {}
    for path in paths:
        try:
            record = json.loads(read(str(path)))
        except FileNotFoundError:
            continue  # somebody has just removed it
        except OSError as error:
            bad[path.stem] = reason(error)
            continue
        except (ValueError, RecursionError):
            record = None
        if is_usable(record):
            good[path.stem] = record
        else:
            bad[path.stem] = DAMAGED
    return good, bad


def reason(error: OSError) -> str:
    """Why a file cannot be read; a link, a folder or a pipe in its place is a damaged record."""
    is_other = error.errno in (None, errno.EISDIR, errno.ELOOP, errno.ENXIO)
    return DAMAGED if is_other else (error.strerror or str(error)).lower()


def is_usable(record: Any) -> bool:
    """Whether a record is of a release that has ended, or tells how to finish or undo it."""
    if not isinstance(record, dict):
        return False
    return is_text(record.get("outcome")) or all(is_text(record.get(key)) for key in COMMITS)


def is_text(value: Any) -> bool:
    """Whether a value is a text, and not an empty one."""
    return isinstance(value, str) and bool(value)


def refuse_unfinished(state_dir: str) -> None:
    """Raise HostRefusal if a release is unfinished, or may be: its record cannot be used."""
    good, bad = read_all(state_dir)
    for id, record in good.items():
        if not record.get("outcome"):
            raise HostRefusal(f"release {id} is unfinished: finish or undo it first")
    for id, why in bad.items():
        raise HostRefusal(f"{record_text(id)} cannot be read: {why}")


def record_text(id: str) -> str:
    """A record for people; `id` may be ALL."""
    return f"the record of release {id}" if id else "the folder of release records"


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
