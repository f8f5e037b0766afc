"""The records of a run of the Level 3 sync: names of the files, and their fields.

The timer's script uses it, the program that reads its record, and the client for the names.
"""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from opstasks.onhost.json_files import read_json, write_json

FILE, LOCK = "level3-sync.json", "level3-sync.lock"
# The most names of each kind in a record.
KEPT_NAMES = 200


@dataclass
class RunRecord:
    """One run; times are seconds since the epoch, 0 for an event that has not happened.

    `clashes` are paths that were not copied, because something of another kind is in their place;
    `uncopied` are those that could not be read or written, each with the reason.
    """

    started_at: float = 0.0
    ended_at: float = 0.0
    error: str = ""
    hint: str = ""
    copied: int = 0
    copied_bytes: int = 0
    items: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)
    uncopied: list[str] = field(default_factory=list)


def read(path: Path) -> tuple[RunRecord, float]:
    """The last run, and when a run last succeeded (seconds since the epoch, 0 for never).

    Missing and invalid files count as no run.
    """
    found = read_json(path)
    last, empty = found.get("last"), RunRecord()
    if not isinstance(last, dict):
        last = {}
    known = {item.name: last.get(item.name) for item in fields(RunRecord)}
    same = {name: v for name, v in known.items() if isinstance(v, type(getattr(empty, name)))}
    success_at = found.get("last_success_at")
    return RunRecord(**same), success_at if isinstance(success_at, float) else 0.0


def write(path: Path, record: RunRecord) -> None:
    """Write a record atomically, with the time of the last success."""
    _, success_at = read(path)
    if record.ended_at and not record.error:
        success_at = record.ended_at
    write_json(path, {"last": as_document(record), "last_success_at": success_at}, 0o640)


def as_document(record: RunRecord) -> dict[str, Any]:
    """A record with only the first names of each kind."""
    found = asdict(record)
    for name in ("items", "skipped", "clashes", "uncopied"):
        found[name] = found[name][:KEPT_NAMES]
    return found
