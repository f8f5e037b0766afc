"""Runs on the host: the records of releases, one file each, written at every step."""

import json
from pathlib import Path
from typing import Any

from opstasks.onhost.json_files import read_json, write_json

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


def record_path(spec: ReleaseSpec) -> Path:
    """The file of this release's record."""
    return Path(spec["state_dir"], "releases", spec["id"] + ".json")


def read_record(spec: ReleaseSpec) -> Record:
    """The record so far; empty for a release that has not begun."""
    try:
        found: Record = json.loads(record_path(spec).read_text())
    except FileNotFoundError:
        return {}
    return found


def records(state_dir: str) -> dict[str, Record]:
    """Every record by release; a file without a valid record is left out."""
    found = {}
    for path in Path(state_dir, "releases").glob("*.json"):
        record = read_json(path)
        if record:
            found[path.stem] = record
    return found


def write_record(spec: ReleaseSpec, **changes: Any) -> Record:
    """Change the record atomically; returns the new record."""
    record = {**read_record(spec), **changes}
    path = record_path(spec)
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_json(path, record, 0o640)
    return record


def snapshot_path(spec: ReleaseSpec, suffix: str = ".sqlite") -> Path:
    """The copy of the database from before this release."""
    return Path(spec["state_dir"], "snapshots", spec["id"] + suffix)
