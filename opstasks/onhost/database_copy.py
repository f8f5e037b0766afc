"""Runs on the host: a complete, checked copy of an SQLite database, or no copy.

The caller has the host's lock, so nobody else makes a copy in the same folder.
"""

import contextlib
import os
import re
import sqlite3
from pathlib import Path

from opstasks.onhost.database_errors import explain
from opstasks.onhost.database_rights import SIDE_FILES
from opstasks.onhost.database_values import open_read_only
from opstasks.onhost.disk_errors import explained
from opstasks.onhost.protocol import HostFailure
from opstasks.onhost.run_ids import RUN_ID

# SQLITE_BUSY and SQLITE_LOCKED, which Python 3.10 does not name.
LOCKED = (5, 6)
# Such files of other runs, and of records; more letters after the id are the boot's. Files with
# other names are a person's.
_KIND = r"(?:\.failed(?:-[0-9]+)?)?(?:\.sqlite|\.json)?"
_PARTIAL = re.compile(rf"{RUN_ID}b*{_KIND}\.new(?:{'|'.join(SIDE_FILES)})")


class CopyFailure(HostFailure):
    """There is no copy: a full disk, a lock, a missing right; the reason names the file."""


def copy_database(source: Path, target: Path) -> None:
    """Make a complete, checked copy, or no copy. Raises CopyFailure, or HostFailure for damage."""
    new = target.with_name(target.name + ".new")
    try:
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        _clear(new)
        clear_partial(target.parent)
        verdict = _write_copy(source, new)
        if verdict != "ok":
            raise HostFailure(f"the copy of the database is damaged: {verdict}")
        new.replace(target)
    except sqlite3.Error as error:
        raise CopyFailure(
            f"cannot copy the database to {target}: {explain(error, source)}"
        ) from error
    except OSError as error:
        raise CopyFailure(f"cannot copy the database to {target}: {explained(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            _clear(new)
            clear_partial(target.parent)


def _write_copy(source: Path, new: Path) -> str:
    """Copy into a new file; what sqlite finds in it."""
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with (
        contextlib.closing(open_read_only(source)) as old,
        contextlib.closing(sqlite3.connect(new)) as copy,
    ):
        old.backup(copy, progress=_refuse_locked)
        verdict = str(copy.execute("PRAGMA quick_check").fetchone()[0])
    with new.open("rb") as file:
        os.fsync(file.fileno())
    return verdict


def _refuse_locked(code: int, remaining: int, total: int) -> None:
    """End a copy that cannot begin: otherwise Python tries again for ever.

    sqlite has waited for the lock before it reports one of these codes.
    """
    if code in LOCKED:
        raise sqlite3.OperationalError("database is locked")


def _clear(new: Path) -> None:
    for suffix in SIDE_FILES:
        Path(f"{new}{suffix}").unlink(missing_ok=True)


def clear_partial(folder: Path) -> None:
    """Remove what a full disk, or a process that was killed, left of a file. Raises OSError."""
    for path in [path for path in folder.glob("*") if _PARTIAL.fullmatch(path.name)]:
        path.unlink(missing_ok=True)
