"""Runs on the host: small JSON files, complete or absent."""

import json
import os
from pathlib import Path
from typing import Any

from opstasks.onhost.safe_files import read


def write_json(path: Path, value: Any, mode: int, group: int = -1) -> None:
    """Write a file completely or not at all, and safe from a power cut."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "w") as file:
            os.fchown(file.fileno(), -1, group)
            os.fchmod(file.fileno(), mode)
            json.dump(value, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        # A full disk must leave no partial file.
        new.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """A file's JSON object; empty when the file is missing, invalid or not a plain file.

    Root reads files of other accounts with it: see `opstasks.onhost.safe_files`.
    """
    try:
        found = json.loads(read(str(path)))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_copy(path: Path, record: Any) -> bool:
    """Whether a person copied another record, perhaps while its work was unfinished.

    The name of a record's file is its id.
    """
    id = record.get("id") if isinstance(record, dict) else None
    if not isinstance(id, str) or id in ("", path.stem):
        return False
    return os.path.lexists(path.parent / f"{id}.json")
