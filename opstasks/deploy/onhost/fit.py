"""Runs on the host, as the service account: the database versions of the code and of the database.

The request has ``code_dir`` and ``database``, the answer is an `opstasks.deploy.fit.FitFacts`. It
changes nothing and runs no code of a release: the version that the code needs is read from its
text.
"""

import contextlib
import re
from pathlib import Path

from opstasks.onhost.plain_text import text_of
from opstasks.onhost.protocol import Answer, Request

# Where job-runner lists its migrations, and how: ``migration(3, "ALTER ...")``.
MODELS = "jobrunner/models.py"
MIGRATION = re.compile(r"^[ \t]*migration\(\s*(\d{1,6})\s*,", re.MULTILINE)
# Other checks wait for a locked database.
LOCKED_S = 0.5


def main(request: Request) -> Answer:
    """Both versions; None for one that is not known."""
    return {
        "code_version": code_version(request["code_dir"]),
        "database_version": database_version(request["database"]),
    }


def misfit(code: int | None, database: int | None) -> str:
    """Why code that needs one version cannot start with a database of another; "" if it can.

    A version that is not known (None) is no reason.
    """
    if code is None or database is None or code == database:
        return ""
    text = f"the code needs database version {code}, the database is at version {database}"
    return f"{text}: the service cannot start"


def code_version(path: str) -> int | None:
    """The database version that code needs; None if its text does not show it."""
    found = MIGRATION.findall(text_of(f"{path}/{MODELS}") or "")
    return max(map(int, found), default=None)


def database_version(path: str) -> int | None:
    """The version of a database; None if it cannot be read now: other checks say why."""
    # The client imports this module, too.
    import sqlite3

    from opstasks.onhost.database_values import open_read_only

    try:
        with contextlib.closing(open_read_only(Path(path), LOCKED_S)) as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            return version if version >= 0 else None
    except sqlite3.Error:
        return None
