"""Runs on the host: read job-runner's database without a chance to change it."""

import contextlib
from pathlib import Path

from opstasks.onhost.database_values import line, open_read_only


def version_and_schema(path: Path) -> tuple[int, list[tuple[str, str]]]:
    """The version and the schema: either changes with a migration."""
    with contextlib.closing(open_read_only(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        rows = connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY 1")
        return version, rows.fetchall()


def job_ids(path: Path) -> set[str]:
    """The ids of all jobs in a database."""
    with contextlib.closing(open_read_only(path)) as connection:
        return {line(row[0]) for row in connection.execute("SELECT id FROM job")}
