"""Runs on the host: rows of job-runner's database, read as the service account."""

import contextlib
import sqlite3
from typing import Any

from opstasks.maintenance.onhost.account import as_service
from opstasks.maintenance.onhost.site import Site


def query(site: Site, text: str, *values: Any, database: str = "") -> list[list[Any]]:
    """Rows of job-runner's database, or of a copy of it, read as the service account."""
    path = database or site.database

    def read() -> list[list[Any]]:
        uri = f"file:{path}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            return [list(row) for row in connection.execute(text, values)]

    found: list[list[Any]] = as_service(site, read)
    return found
