"""Runs on the host: the record of a release, and small things that its steps share."""

import contextlib
import json
from pathlib import Path
from typing import Any

from opstasks.onhost.commands import must
from opstasks.onhost.json_files import write_json

# The JSON of `opstasks.deploy.release.Spec`.
Spec = dict[str, Any]


def record_path(spec: Spec) -> Path:
    """Where this release's record lies."""
    return Path(spec["state_dir"], "releases", spec["id"] + ".json")


def read_record(spec: Spec) -> dict[str, Any]:
    """The record so far; empty for a release that has not begun."""
    try:
        found: dict[str, Any] = json.loads(record_path(spec).read_text())
    except FileNotFoundError:
        return {}
    return found


def records(spec: Spec) -> dict[str, dict[str, Any]]:
    """Every record by release; one that cannot be read is left out."""
    found = {}
    for path in Path(spec["state_dir"], "releases").glob("*.json"):
        with contextlib.suppress(ValueError):
            found[path.stem] = json.loads(path.read_text())
    return found


def write_record(spec: Spec, **changes: Any) -> dict[str, Any]:
    """Change the record, whole or not at all."""
    record = {**read_record(spec), **changes}
    path = record_path(spec)
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_json(path, record, 0o640)
    return record


def snapshot_path(spec: Spec, suffix: str = ".sqlite") -> Path:
    """Where the database as it was before is kept."""
    return Path(spec["state_dir"], "snapshots", spec["id"] + suffix)


def head(path: str) -> str:
    """The commit that is checked out."""
    return must("cannot read the checkout", "git", "-C", path, "rev-parse", "HEAD")


def changed_files(path: str) -> str:
    """What differs from the commit, untracked files included."""
    return must("cannot read the checkout", "git", "-C", path, "status", "--porcelain")
