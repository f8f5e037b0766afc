"""Runs on the host: open job-runner's database for reading, and take its values as they may be.

SQLite takes any value in any column: bytes, an infinite number, a text that is not UTF-8 or has
100,000 letters. One odd row must not hide the others, so every value passes through here.
"""

import sqlite3
import sys
from pathlib import Path
from typing import Any

from opstasks.onhost.limits import MAX_LINE, moment

# A list of many files is longer than a line; some such values fit into one answer.
MAX_VALUE = 4 * MAX_LINE


def open_read_only(path: Path, timeout_s: float = 30) -> sqlite3.Connection:
    """A connection that cannot write; it waits up to `timeout_s` for a lock.

    Raises sqlite3.Error. Bytes of a text that are not UTF-8 become '�'.
    """
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=timeout_s)
    connection.text_factory = decoded
    return connection


def decoded(data: bytes) -> str:
    """A text of the database; it may be no UTF-8."""
    return data.decode("utf-8", "replace")


def plain(value: Any, most: int = MAX_VALUE) -> Any:
    """A value that JSON can represent; "…" at the end of a text says that it was longer."""
    if isinstance(value, float):  # JSON has no infinity
        return min(max(value, -sys.float_info.max), sys.float_info.max)
    text = decoded(value) if isinstance(value, bytes) else value
    return f"{text[: most - 1]}…" if isinstance(text, str) and len(text) > most else text


def line(value: Any) -> str:
    """A value as a text that the client accepts; "" for NULL."""
    return "" if value is None else str(plain(value, MAX_LINE))


def seconds(value: Any, *, per_s: float = 1) -> float:
    """A time in seconds since the epoch; 0 for NULL, and for what is not a number."""
    return moment(value / per_s) if isinstance(value, (int, float)) else 0
