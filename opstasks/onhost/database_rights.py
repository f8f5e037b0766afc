"""Runs on the host: whether this account may write a database of sqlite."""

import os
from pathlib import Path

from opstasks.onhost.accounts import account_name

# sqlite writes these beside the database.
SIDE_FILES = ("", "-wal", "-shm", "-journal")


def not_writable(path: str) -> str:
    """The first file or folder that a writer needs and this account may not write; "" if none.

    With its owner: ``/home/x/db.sqlite belongs to root``. A migration as root leaves such files.
    """
    files = [f"{path}{suffix}" for suffix in SIDE_FILES]
    for place in filter(os.path.lexists, (str(Path(path).parent), *files)):
        if not os.access(place, os.R_OK | os.W_OK):
            return f"{place} belongs to {account_name(os.stat(place).st_uid)}"  # noqa: PTH116
    return ""
