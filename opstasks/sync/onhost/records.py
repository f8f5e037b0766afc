"""What a run of the Level 3 sync leaves behind: names of the files, and their fields.

Used by the script that the timer starts, by the program that reads its record, and on the client
for the names.
"""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from opstasks.onhost.json_files import read_json, write_json

FILE, LOCK = "level3-sync.json", "level3-sync.lock"
# How many names of each kind a record keeps.
KEPT_NAMES = 200


@dataclass
class RunRecord:
    """One run; times are seconds since the epoch, 0 for what has not come.

    `clashes` are paths that were not copied, because something of another kind is there.
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


def read(path: Path) -> tuple[RunRecord, float]:
    """The last run, and when one last succeeded (seconds since the epoch, 0 for never).

    What is missing, or has another form than ours, counts as not there.
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
    """Write a record, whole or not at all, with the time of the last success."""
    _, success_at = read(path)
    if record.ended_at and not record.error:
        success_at = record.ended_at
    write_json(path, {"last": as_document(record), "last_success_at": success_at}, 0o640)


def as_document(record: RunRecord) -> dict[str, Any]:
    """A record with the first names of each kind only."""
    found = asdict(record)
    for name in ("items", "skipped", "clashes"):
        found[name] = found[name][:KEPT_NAMES]
    return found
