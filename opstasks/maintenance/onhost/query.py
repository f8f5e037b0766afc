"""Runs on the host: rows of job-runner's database, read as the service account."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from opstasks.maintenance.onhost.account import as_service
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.database_errors import explain
from opstasks.onhost.database_values import open_read_only, plain
from opstasks.onhost.protocol import HostFailure

# How long to wait for a lock on the database: job-runner's own are short.
BUSY_S = 10.0


def query(site: Site, text: str, *values: Any, database: str = "") -> list[list[Any]]:
    """Rows of job-runner's database, or of a copy of it, read as the service account.

    Every value is one that JSON can represent. Raises HostFailure.
    """
    path = Path(database or site.database)

    def read() -> list[list[Any]]:
        try:
            with contextlib.closing(open_read_only(path, BUSY_S)) as connection:
                return [list(map(plain, row)) for row in connection.execute(text, values)]
        except sqlite3.Error as error:
            reason = f"cannot read the database: {explain(error, path)}"
            raise HostFailure(reason) from error

    found: list[list[Any]] = as_service(site, read)
    return found
