"""Runs on the host, as the service account: the code that is checked out now.

The request is an `opstasks.deploy.present.PresentRequest`, the answer a `PresentFacts`. It changes
nothing and runs no code of a release: the database's version that the code needs is read from its
text.
"""

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import Any

from opstasks.deploy.onhost.checkout_facts import present_facts
from opstasks.deploy.onhost.database_read import open_read_only
from opstasks.onhost.checkout_source import foreign
from opstasks.onhost.database_rights import not_writable
from opstasks.onhost.plain_text import text_of
from opstasks.onhost.protocol import Answer, Request

# Where job-runner lists its migrations, and how: ``migration(3, "ALTER ...")``.
MODELS = "jobrunner/models.py"
MIGRATION = re.compile(r"^migration\(\s*(\d{1,6})\s*,", re.MULTILINE)
# Other checks wait for a locked database.
LOCKED_S = 0.5


def main(request: Request) -> Answer:
    """The facts; those of checkouts only if the request wants them."""
    checkouts: dict[str, Any] = {}
    if request["with_checkouts"]:
        for name in ("code", "lib"):
            path = request[f"{name}_dir"]
            checkouts[name] = {**present_facts(path), "foreign": foreign(path, request["home"])}
    return {
        "checkouts": checkouts,
        "code_version": code_version(request["code_dir"]),
        "database_version": database_version(request["database"]),
        "not_writable": not_writable(request["database"]),
    }


def code_version(path: str) -> int | None:
    """The database version that code needs; None if its text does not show it."""
    found = MIGRATION.findall(text_of(f"{path}/{MODELS}") or "")
    return max(map(int, found), default=None)


def database_version(path: str) -> int | None:
    """The version of a database; None if it cannot be read now: other checks say why."""
    try:
        with contextlib.closing(open_read_only(Path(path), LOCKED_S)) as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            return version if version >= 0 else None
    except sqlite3.Error:
        return None
