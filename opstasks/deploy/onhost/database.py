"""Runs on the host: job-runner's database, copied, put back, and judged."""

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

from opstasks.deploy.onhost.record import ReleaseSpec
from opstasks.onhost.commands import call
from opstasks.onhost.environment import of_release
from opstasks.onhost.protocol import HostFailure

# The database, and what sqlite keeps beside it.
SIDE_FILES = ("", "-wal", "-shm", "-journal")
# Loading every job is the least that the old code must be able to do with a carried-over row.
ROWS_PROBE = """
from jobrunner.lib.database import ensure_valid_db, find_all
from jobrunner.models import Job
ensure_valid_db()
find_all(Job)
"""


def open_read_only(path: Path, timeout_s: float = 30) -> sqlite3.Connection:
    """A connection that cannot write; it waits so long for a lock."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=timeout_s)


def copy_database(source: Path, target: Path) -> None:
    """Make a checked, complete copy, or none at all. Raises HostFailure or sqlite3.Error."""
    target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    new = target.with_name(target.name + ".new")
    new.unlink(missing_ok=True)
    try:
        os.close(os.open(new, os.O_CREAT | os.O_WRONLY, 0o600))
        with (
            contextlib.closing(open_read_only(source)) as old,
            contextlib.closing(sqlite3.connect(new)) as copy,
        ):
            old.backup(copy)
            verdict = copy.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            raise HostFailure(f"the copy of the database is not sound: {verdict}")
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def version_and_schema(path: Path) -> tuple[int, list[tuple[str, str]]]:
    """The version and the schema: they differ when a migration changed the database."""
    with contextlib.closing(open_read_only(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        rows = connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY 1")
        return version, rows.fetchall()


def job_ids(path: Path) -> set[str]:
    """The ids of all jobs in a database."""
    with contextlib.closing(open_read_only(path)) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM job")}


def carry_over(current: Path, restored: Path) -> None:
    """Bring rows that the new release wrote into the restored database, in its own columns."""
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
    """Columns that a table has in both databases."""
    both = [
        [row[1] for row in connection.execute(f'PRAGMA {schema}.table_info("{table}")')]
        for schema in ("main", "newer")
    ]
    return [name for name in both[0] if name in both[1]]


def old_code_reads(spec: ReleaseSpec, folder: Path) -> bool:
    """Whether the code that is checked out can load every job of folder/db.sqlite."""
    env = {**of_release(spec), "WORKDIR": str(folder)}
    done = call(sys.executable, "-B", "-c", ROWS_PROBE, env=env, cwd=spec["code"], timeout=120)
    return done.returncode == 0


class DamagedError(HostFailure):
    """A database that is missing, or that sqlite itself calls damaged: waiting does not help."""


def settle(database: Path) -> None:
    """Let sqlite finish what a killed writer left beside the database, and check the result.

    Raises DamagedError, or HostFailure for what may pass: a lock, a full disk.
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
        # A lock and a full disk are OperationalErrors. Python before 3.11 has no codes to ask for.
        if type(error) is sqlite3.DatabaseError:
            raise DamagedError(f"the database is damaged: {error}") from error
        raise HostFailure(f"cannot use the database: {error}") from error
    if verdict != "ok":
        raise DamagedError(f"the database is damaged: {verdict}")


def renew_snapshot(spec: ReleaseSpec, snapshot: Path) -> None:
    """Copy the database as it is now: a service may have run since the last copy.

    When jobs of the last copy are missing now, that copy stays. Raises HostFailure.
    """
    database = Path(spec["database"])
    if snapshot.exists() and (lost := job_ids(snapshot) - job_ids(database)):
        raise HostFailure(f"jobs were lost: {', '.join(sorted(lost))}", f"they are in {snapshot}")
    copy_database(database, snapshot)


def bring_older(spec: ReleaseSpec, older: Path, snapshot: Path) -> str:
    """Put the database of an older release in place, with every row written since; says how.

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
                "the older code cannot read the rows written since", f"they are kept in {snapshot}"
            )
        put_in_place(restored, database)
    return "database restored from the snapshot, newer rows carried over"


def is_untouched(database: Path, snapshot: Path) -> bool:
    """Whether no migration changed the database since, and no job is missing from it."""
    same = version_and_schema(database) == version_and_schema(snapshot)
    return same and job_ids(snapshot) <= job_ids(database)


def restore_database(spec: ReleaseSpec, snapshot: Path, aside: Path) -> str:
    """Put a database from before a migration, or before jobs were lost, back; says how.

    The present database is kept aside. Rows written since the snapshot are carried over in the
    columns that the old database has, unless the old code cannot read them. Raises HostFailure.
    """
    database = Path(spec["database"])
    # What an interrupted attempt kept aside may be the only copy of some rows.
    aside = unused(aside)
    try:
        settle(database)
        if is_untouched(database, snapshot):
            return "database untouched"
        copy_database(database, aside)
        return put_back(spec, snapshot, aside)
    except DamagedError as error:
        return replace_damaged(database, snapshot, aside, error.reason)
    except (sqlite3.Error, OSError) as error:
        # The database is still in its place, so its copy is not needed, and the disk may be full.
        aside.unlink(missing_ok=True)
        raise HostFailure(f"cannot put the database back: {error}", "it is as it was") from error


def put_back(spec: ReleaseSpec, snapshot: Path, aside: Path) -> str:
    """Put a snapshot in place, with the rows of the database that is kept aside; says how."""
    database = Path(spec["database"])
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restore-") as name:
        restored = Path(name, "db.sqlite")
        how = f"newer rows carried over; the one that failed is {aside}"
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
    """The name, or one with a number if that file exists: ``x.failed-2.sqlite``."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def replace_damaged(database: Path, snapshot: Path, aside: Path, why: str) -> str:
    """Move a database that sqlite cannot use aside, and put the snapshot in its place."""
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restore-") as name:
        restored = Path(name, "db.sqlite")
        copy_database(snapshot, restored)
        # The database first: if we are stopped here, the next run restores a missing one.
        for suffix in SIDE_FILES:
            file = database.with_name(database.name + suffix)
            if file.exists():
                shutil.move(file, aside.with_name(aside.name + suffix))
        put_in_place(restored, database)
    return f"{why}; restored from the snapshot, what was left is {aside}"


def put_in_place(restored: Path, database: Path) -> None:
    """Replace a settled (or missing) database in one step."""
    if database.exists():
        shutil.copymode(database, restored)
    for suffix in SIDE_FILES[1:]:
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    restored.replace(database)
