"""Runs on the host, as the service account: read job-runner's database.

Every value is a parameter of the SQL, and `instr` does the matching: no character is special.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from opstasks.onhost.database_errors import explain
from opstasks.onhost.database_values import line, open_read_only, plain, seconds
from opstasks.onhost.limits import LATEST_AT, MAX_LINE
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
# The same as `seconds`: pages continue after the time that the last job was sent with.
CREATED = (
    "(CASE WHEN typeof(created_at) IN ('integer', 'real')"
    f" THEN min(max(created_at, 0), {LATEST_AT}) ELSE 0 END)"
)
# The id that the client gets, for the order of pages. Python is asked only for an odd one.
ID = (
    "(CASE WHEN typeof(id) = 'text' AND id NOT GLOB '*[^!-~]*'"
    f" AND length(id) <= {MAX_LINE} THEN id ELSE sent_text(CAST(id AS BLOB)) END)"
)


@contextlib.contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """Open the database read only; raises HostRefusal for any error, also in the `with` block."""
    if not Path(path).exists():
        raise HostRefusal(NO_DATABASE)
    try:
        with contextlib.closing(open_read_only(Path(path), BUSY_TIMEOUT_S)) as opened:
            yield opened
    except sqlite3.Error as error:
        raise HostRefusal(explain(error, Path(path))) from error


def flags(connection: sqlite3.Connection) -> dict[str, tuple[str, float]]:
    """The flags that are set: value, and time of setting in seconds since the epoch."""
    try:
        # A name that only looks the same comes first, and is replaced.
        query = "SELECT id, value, timestamp FROM flags ORDER BY typeof(id) = 'text'"
        rows = connection.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return {}  # the table does not exist before the first flag is set
    return {line(id): (line(value), seconds(at)) for id, value, at in rows if value is not None}


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """How many jobs are in each state."""
    return _sums(connection.execute("SELECT state, count(*) FROM job GROUP BY 1"))


def ended(connection: sqlite3.Connection, since_at: float) -> dict[str, int]:
    """How many jobs ended since then, by their state."""
    if "completed_at" not in _column_names(connection):
        return {}
    query = (
        "SELECT state, count(*) FROM job WHERE typeof(completed_at) IN"
        " ('integer', 'real') AND completed_at >= ? GROUP BY 1"
    )
    return _sums(connection.execute(query, [since_at]))


def _sums(rows: Iterable[tuple[Any, int]]) -> dict[str, int]:
    """Numbers by text; odd values may become the same text."""
    found: dict[str, int] = {}
    for value, count in rows:
        found[line(value)] = found.get(line(value), 0) + count
    return found


def wanted(selection: Row, after: Any = None) -> tuple[str, list[Any]]:
    """SQL for the selected jobs, newest first, ending with a limit; and its other parameters.

    `after` is creation time and id of the last job of the previous page. The connection needs
    `can_order`.
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
        where.append(f"({CREATED}, {ID}) < (?, ?)")
        values += after
    return f"WHERE {' AND '.join(where)} ORDER BY {CREATED} DESC, {ID} DESC LIMIT ?", values


def can_order(connection: sqlite3.Connection) -> None:
    """Let a connection compute the order of `wanted`."""
    connection.create_function("sent_text", 1, line, deterministic=True)


def newest(
    connection: sqlite3.Connection, selection: Row, limit: int, after: Any = None
) -> list[Row]:
    """The newest of the selected jobs, newest first."""
    can_order(connection)
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
    shown = [_IMAGE if name == "image" else f'job."{name}"' for name in names]
    rows = connection.execute(f"SELECT {', '.join(shown)} FROM job {tail}", values)  # noqa: S608
    return [dict(zip(names, map(plain, row))) for row in rows]  # noqa: B905 (same length)


def _column_names(connection: sqlite3.Connection) -> set[str]:
    return {row[1] for row in connection.execute("PRAGMA table_info(job)")}


def job_of(row: Row) -> Row:
    """A row as the client's `Job`: no NULL, every time in seconds since the epoch.

    SQLite takes any value in any column: one odd row must not hide all the others.
    """
    texts = ("id", "workspace", "action", "state", "status_code", "status_message", "image")
    times = ("created_at", "started_at", "completed_at")
    return {
        **{name: line(row.get(name)) for name in texts},
        **{name: seconds(row.get(name)) for name in times},
        # This time alone is in nanoseconds; the others are in seconds.
        "updated_at": seconds(row.get("status_code_updated_at"), per_s=1e9)
        or seconds(row.get("updated_at")),
    }
