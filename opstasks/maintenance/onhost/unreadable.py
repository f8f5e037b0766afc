"""Runs on the host: the records of scheduled work that cannot be read, and why."""

import json
import os
from pathlib import Path
from typing import Any

from opstasks.maintenance.onhost.records import ID, item_of, records_dir
from opstasks.onhost.limits import MAX_LINE
from opstasks.onhost.protocol import error_text
from opstasks.onhost.safe_files import read

# So many of them are sent.
KEPT = 100


def unreadable(lock_dir: str) -> list[dict[str, str]]:
    """What `store.read_items` leaves out, by name; a person's copy of a record counts as read."""
    folder = records_dir(lock_dir)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))  # noqa: PTH208
    except FileNotFoundError:
        return []
    except OSError as error:
        return [_named(folder.name, error_text(error))]
    found = ((name.removesuffix(".json"), problem(folder / name)) for name in names)
    return [_named(name, why) for name, why in found if why][:KEPT]


def problem(path: Path) -> str:
    """Why a file is not a record; "" for a record."""
    try:
        found: Any = json.loads(read(str(path)))
    except OSError as error:
        error.filename = None  # the record is named anyway
        return error_text(error)
    except (ValueError, RecursionError):
        return "it is not JSON"
    is_record = isinstance(found, dict) and ID.fullmatch(item_of(found).id)
    return "" if is_record else "it is not a record of this version"


def _named(name: str, why: str) -> dict[str, str]:
    return {"name": name[:MAX_LINE], "error": why[:MAX_LINE]}
