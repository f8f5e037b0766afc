"""Runs on the host: check, copy and restore job-runner's database."""

import contextlib
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

from opstasks.deploy.onhost.database_read import job_ids, version_and_schema
from opstasks.deploy.onhost.record import ReleaseSpec
from opstasks.onhost.commands import call
from opstasks.onhost.database_copy import CopyFailure, copy_database
from opstasks.onhost.database_errors import explain, is_damaged
from opstasks.onhost.database_rights import SIDE_FILES
from opstasks.onhost.environment import of_release
from opstasks.onhost.protocol import HostFailure

# The old code must at least be able to load every job, including carried-over rows.
ROWS_PROBE = """
from jobrunner.lib.database import ensure_valid_db, find_all
from jobrunner.models import Job
ensure_valid_db()
find_all(Job)
"""


def carry_over(current: Path, restored: Path) -> None:
    """Copy rows that the new release wrote into the restored database, in its own columns."""
    with contextlib.closing(sqlite3.connect(f"file:{restored}", uri=True)) as connection:
        connection.execute("ATTACH DATABASE ? AS newer", (f"file:{current}?mode=ro",))
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in names.fetchall():
            shared = shared_columns(connection, table)
            if "id" in shared:
                columns = ", ".join(f'"{name}"' for name in shared)
                updates = ", ".join(f'"{name}" = excluded."{name}"' for name in shared)
                connection.execute(
                    f'INSERT INTO main."{table}" ({columns}) SELECT {columns}'  # noqa: S608
                    f' FROM newer."{table}" WHERE true ON CONFLICT(id) DO UPDATE SET {updates}'
                )
        connection.commit()


def shared_columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table that both databases have."""
    both = [
        [row[1] for row in connection.execute(f'PRAGMA {schema}.table_info("{table}")')]
        for schema in ("main", "newer")
    ]
    return [name for name in both[0] if name in both[1]]


def old_code_reads(spec: ReleaseSpec, folder: Path) -> bool:
    """Whether the checked-out code can load every job of folder/db.sqlite."""
    env = {**of_release(spec), "WORKDIR": str(folder)}
    done = call(sys.executable, "-B", "-c", ROWS_PROBE, env=env, cwd=spec["code"], timeout=120)
    return done.returncode == 0


class DamagedError(HostFailure):
    """The database is missing, or sqlite reports damage: waiting does not help."""


def settle(database: Path) -> None:
    """Let sqlite recover what a killed writer left unfinished, and check the database.

    Raises DamagedError, or HostFailure for a temporary problem: a lock, a full disk.
    """
    if not database.exists():
        raise DamagedError("the database is missing")
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.Error as error:
        if is_damaged(error):
            raise DamagedError(explain(error)) from error
        raise HostFailure(f"cannot use the database: {explain(error, database)}") from error
    if verdict != "ok":
        raise DamagedError(f"the database is damaged: {verdict}")


def renew_snapshot(spec: ReleaseSpec, snapshot: Path) -> None:
    """Replace the snapshot by a new copy: a service may have run since the last one.

    The last copy is kept when some of its jobs are now missing. Raises HostFailure.
    """
    database = Path(spec["database"])
    if snapshot.exists() and (lost := job_ids(snapshot) - job_ids(database)):
        raise HostFailure(f"jobs were lost: {', '.join(sorted(lost))}", f"they are in {snapshot}")
    copy_database(database, snapshot)


def bring_older(spec: ReleaseSpec, older: Path, snapshot: Path) -> str:
    """Restore the database of an older release, with every newer row; says how.

    Raises HostFailure, with nothing changed, when the older code cannot read those rows.
    """
    database = Path(spec["database"])
    settle(database)
    if version_and_schema(database) == version_and_schema(older):
        return "database untouched"
    renew_snapshot(spec, snapshot)
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restore-") as name:
        restored = Path(name, "db.sqlite")
        if not restored_with_rows(spec, older, snapshot, restored):
            raise HostFailure(
                "the older code cannot read the newer rows", f"they are kept in {snapshot}"
            )
        put_in_place(restored, database)
    return "database restored from the snapshot, newer rows carried over"


def is_untouched(database: Path, snapshot: Path) -> bool:
    """Whether no migration changed the database since the snapshot, and no job is missing."""
    same = version_and_schema(database) == version_and_schema(snapshot)
    return same and job_ids(snapshot) <= job_ids(database)


def restore_database(spec: ReleaseSpec, snapshot: Path, aside: Path) -> str:
    """Restore the snapshot after a migration or a loss of jobs; says how.

    The present database is kept aside. Newer rows are carried over, in the columns of the old
    database, unless the old code cannot read them. Raises HostFailure.
    """
    database = Path(spec["database"])
    # An interrupted attempt may have kept the only copy of some rows: do not overwrite it.
    aside = unused(aside)
    try:
        settle(database)
        if is_untouched(database, snapshot):
            return "database untouched"
        copy_database(database, aside)
        return put_back(spec, snapshot, aside)
    except DamagedError as error:
        return replace_damaged(database, snapshot, aside, error.reason)
    except (CopyFailure, sqlite3.Error, OSError) as error:
        # The database is still in its place, so its copy is not needed, and the disk may be full.
        aside.unlink(missing_ok=True)
        why = error.reason if isinstance(error, CopyFailure) else str(error)
        raise HostFailure(f"cannot restore the database: {why}", "it is unchanged") from error


def put_back(spec: ReleaseSpec, snapshot: Path, aside: Path) -> str:
    """Restore a snapshot, with the newer rows of the database kept aside; says how."""
    database = Path(spec["database"])
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restore-") as name:
        restored = Path(name, "db.sqlite")
        how = f"newer rows carried over; the failed database is {aside}"
        if not restored_with_rows(spec, snapshot, aside, restored):
            copy_database(snapshot, restored)
            how = f"newer rows only in {aside}"
        put_in_place(restored, database)
    return f"database restored from the snapshot, {how}"


def restored_with_rows(spec: ReleaseSpec, snapshot: Path, newer: Path, restored: Path) -> bool:
    """Make a database from a snapshot and the newer rows; whether the old code can read it."""
    copy_database(snapshot, restored)
    try:
        carry_over(newer, restored)
    except sqlite3.IntegrityError:
        return False
    return old_code_reads(spec, restored.parent)


def unused(path: Path) -> Path:
    """The path; with a number if that file exists: ``x.failed-2.sqlite``."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def replace_damaged(database: Path, snapshot: Path, aside: Path, why: str) -> str:
    """Move a damaged database aside, and put the snapshot in its place."""
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restore-") as name:
        restored = Path(name, "db.sqlite")
        copy_database(snapshot, restored)
        # The database first: if we are interrupted here, the next run restores the missing file.
        for suffix in SIDE_FILES:
            file = database.with_name(database.name + suffix)
            if file.exists():
                shutil.move(file, aside.with_name(aside.name + suffix))
        put_in_place(restored, database)
    return f"{why}; restored from the snapshot, the damaged one is {aside}"


def put_in_place(restored: Path, database: Path) -> None:
    """Replace a settled (or missing) database in one step."""
    if database.exists():
        shutil.copymode(database, restored)
    for suffix in SIDE_FILES[1:]:
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    restored.replace(database)
