"""Runs on the host, as the service account: read job-runner's database.

`main` gets a JSON request ``{database, states, workspace, limit}`` and prints the schema's
version, the flags, how many jobs are in each state, and the newest jobs that match.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any

# What every version of the table has; later ones only add to it.
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


def read(connection: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """Version, flags, counts and jobs, from one consistent moment."""
    connection.execute("BEGIN")
    return {
        "user_version": connection.execute("PRAGMA user_version").fetchone()[0],
        "flags": flags(connection),
        "counts": dict(connection.execute("SELECT state, count(*) FROM job GROUP BY state")),
        "jobs": jobs(connection, asked),
    }


def flags(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """The flags that are set, with the time of their setting in seconds."""
    try:
        rows = connection.execute("SELECT id, value, timestamp FROM flags").fetchall()
    except sqlite3.OperationalError:
        return {}  # a database that no flag was ever set in has no such table
    return {row[0]: [row[1], row[2]] for row in rows if row[1] is not None}


def jobs(connection: sqlite3.Connection, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The newest jobs in the wanted states (all when none is named), newest first."""
    have = {row[1] for row in connection.execute("PRAGMA table_info(job)")}
    columns = [name for name in COLUMNS if name in have]
    where, values = ["1 = 1"], []
    if asked["states"]:
        where.append(f"state IN ({','.join('?' * len(asked['states']))})")
        values += asked["states"]
    if asked["workspace"]:
        where.append("workspace = ?")
        values.append(asked["workspace"])
    rows = connection.execute(
        f"SELECT {', '.join(columns)} FROM job WHERE {' AND '.join(where)}"  # noqa: S608
        " ORDER BY created_at DESC LIMIT ?",
        [*values, asked["limit"]],
    )
    return [dict(zip(columns, row, strict=True)) for row in rows]


def main(request: str) -> None:
    """Answer a request; an unreadable database is an answer, too."""
    asked = json.loads(request)
    if not Path(asked["database"]).exists():
        print(json.dumps({"error": "there is no database"}))
        return
    try:
        path = f"file:{asked['database']}?mode=ro"
        connection = sqlite3.connect(path, uri=True, timeout=10)
        print(json.dumps(read(connection, asked)))
        connection.close()
    except sqlite3.Error as error:
        print(json.dumps({"error": str(error)}))
