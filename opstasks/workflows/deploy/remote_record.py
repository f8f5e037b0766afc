"""Runs on the host: the record of a release, and small things that its steps share."""

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

# The JSON of `opstasks.workflows.deploy.release.Spec`.
Spec = dict[str, Any]


class StepError(Exception):
    """A step could not be done; the detail holds the last lines that explain it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def call(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says."""
    return subprocess.run(
        args,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **options,
    )


def must(reason: str, *args: str, **options: Any) -> str:
    """Run a command that must succeed; returns what it printed."""
    done = call(*args, **options)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise StepError(reason, "\n".join(said.splitlines()[-12:]))
    return done.stdout.strip()


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
    new = path.with_suffix(".new")
    try:
        with new.open("w") as file:
            json.dump(record, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
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
