"""Runs on the host, as the service account: read job-runner's database.

Every value is a parameter of the SQL, and `instr` does the matching: no character is special.
"""

import contextlib
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opstasks.onhost.database_errors import explain
from opstasks.onhost.limits import LATEST_AT, moment
from opstasks.onhost.protocol import HostRefusal

Row = dict[str, Any]
NO_DATABASE = "there is no database"
BUSY_TIMEOUT_S = 10
# The columns of every version of the table; later versions only add columns.
COLUMNS = (
    "id",
    "workspace",
    "action",
    "state",
    "status_code",
    "status_message",
    "created_at",
    "updated_at",
    "started_at",
    "completed_at",
    "status_code_updated_at",
)
# Columns that only `jobs.show` needs.
MORE_COLUMNS = (
    "job_request_id",
    "repo_url",
    "commit",
    "database_name",
    "run_command",
    "image_id",
    "requires_outputs_from",
    "wait_for_job_ids",
    "outputs",
    "unmatched_outputs",
    "cancelled",
)
_IMAGE = "substr(run_command, 1, instr(run_command || ' ', ' ') - 1)"
# The same as `_seconds`: pages continue after the time that the last job was sent with.
CREATED = (
    "(CASE WHEN typeof(created_at) IN ('integer', 'real')"
    f" THEN min(max(created_at, 0), {LATEST_AT}) ELSE 0 END)"
)


@contextlib.contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """Open the database read only; raises HostRefusal for any error, also in the `with` block."""
    if not Path(path).exists():
        raise HostRefusal(NO_DATABASE)
    try:
        uri = f"{Path(path).as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as opened:
            yield opened
    except sqlite3.Error as error:
        raise HostRefusal(explain(error, Path(path))) from error


def flags(connection: sqlite3.Connection) -> dict[str, tuple[str, float]]:
    """The flags that are set: value, and time of setting in seconds since the epoch."""
    try:
        rows = connection.execute("SELECT id, value, timestamp FROM flags").fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return {}  # the table does not exist before the first flag is set
    return {name: (_text(value), _seconds(at)) for name, value, at in rows if value is not None}


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """How many jobs are in each state."""
    return dict(connection.execute("SELECT coalesce(state, ''), count(*) FROM job GROUP BY 1"))


def ended(connection: sqlite3.Connection, since_at: float) -> dict[str, int]:
    """How many jobs ended since then, by their state."""
    if "completed_at" not in _column_names(connection):
        return {}
    query = (
        "SELECT coalesce(state, ''), count(*) FROM job WHERE typeof(completed_at) IN"
        " ('integer', 'real') AND completed_at >= ? GROUP BY 1"
    )
    return dict(connection.execute(query, [since_at]))


def wanted(selection: Row, after: Any = None) -> tuple[str, list[Any]]:
    """SQL for the selected jobs, newest first, ending with a limit; and its other parameters.

    `after` is creation time and id of the last job of the previous page.
    """
    where, values = ["1 = 1"], []
    if selection.get("states"):
        where.append(f"state IN ({','.join('?' * len(selection['states']))})")
        values += selection["states"]
    if selection.get("workspace"):
        where.append("workspace = ?")
        values.append(selection["workspace"])
    since_at = selection.get("since_at") or 0
    if not since_at and selection.get("since_s"):
        since_at = time.time() - selection["since_s"]
    if since_at:
        where.append(f"max({CREATED}, coalesce(completed_at, 0)) >= ?")
        values.append(since_at)
    if after:
        where.append(f"({CREATED}, id) < (?, ?)")
        values += after
    return f"WHERE {' AND '.join(where)} ORDER BY {CREATED} DESC, id DESC LIMIT ?", values


def newest(
    connection: sqlite3.Connection, selection: Row, limit: int, after: Any = None
) -> list[Row]:
    """The newest of the selected jobs, newest first."""
    tail, values = wanted(selection, after)
    return select(connection, COLUMNS, tail, [*values, limit])


def by_ids(connection: sqlite3.Connection, ids: Sequence[str]) -> list[Row]:
    """The jobs with these ids, in no particular order."""
    marks = ",".join("?" * len(ids))
    return select(connection, COLUMNS, f"WHERE id IN ({marks})", ids) if ids else []


def select(
    connection: sqlite3.Connection, columns: Sequence[str], tail: str, values: Sequence[Any]
) -> list[Row]:
    """Rows of the job table as dictionaries; columns that the table lacks are left out."""
    have = _column_names(connection)
    names = [name for name in columns if name in have]
    if "run_command" in have:
        names.append("image")
    shown = [_IMAGE if name == "image" else f'"{name}"' for name in names]
    rows = connection.execute(f"SELECT {', '.join(shown)} FROM job {tail}", values)  # noqa: S608
    return [dict(zip(names, map(_printable, row))) for row in rows]  # noqa: B905 (same length)


def _column_names(connection: sqlite3.Connection) -> set[str]:
    return {row[1] for row in connection.execute("PRAGMA table_info(job)")}


def job_of(row: Row) -> Row:
    """A row as the client's `Job`: no NULL, every time in seconds since the epoch.

    SQLite takes any value in any column: one odd row must not hide all the others.
    """
    texts = ("id", "workspace", "action", "state", "status_code", "status_message", "image")
    times = ("created_at", "started_at", "completed_at")
    return {
        **{name: _text(row.get(name)) for name in texts},
        **{name: _seconds(row.get(name)) for name in times},
        # This time alone is in nanoseconds; the others are in seconds.
        "updated_at": _seconds(row.get("status_code_updated_at"), per_s=1e9)
        or _seconds(row.get("updated_at")),
    }


def _seconds(value: Any, *, per_s: float = 1) -> float:
    """A time in seconds since the epoch; 0 for NULL, and for what is not a number."""
    return moment(value / per_s) if isinstance(value, (int, float)) else 0


def _text(value: Any) -> str:
    return "" if value is None else str(_printable(value))


def _printable(value: Any) -> Any:
    """A value of the database that JSON can represent."""
    if isinstance(value, float):  # JSON has no infinity
        return min(max(value, -sys.float_info.max), sys.float_info.max)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
