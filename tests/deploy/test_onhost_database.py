"""The host's side of a release: its database, on real files."""

import sqlite3
import subprocess
import sys

import pytest

from opstasks.deploy.onhost import database as remote_database
from opstasks.deploy.onhost.database import (
    bring_older,
    copy_database,
    restore_database,
    version_and_schema,
)
from opstasks.deploy.onhost.record import snapshot_path
from opstasks.onhost.protocol import HostFailure
from tests.deploy.deploy_help import MIGRATED, database, ids, rows


def aside_path(spec):
    return snapshot_path(spec, ".failed.sqlite")


def restore(spec, aside=None):
    """Restore the snapshot; says what happened to the database."""
    return restore_database(spec, snapshot_path(spec), aside or aside_path(spec))


def test_a_copy_is_complete_and_private_and_leaves_no_other_files(tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    target = tmp_path / "snapshots" / "one.sqlite"
    copy_database(source, target)
    assert rows(target) == [("a", "running", "x")]
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["one.sqlite"]


def test_a_copy_of_a_damaged_database_is_refused(tmp_path):
    source = database(tmp_path / "db.sqlite", [(str(n), "x", "y" * 900) for n in range(200)])
    damaged = bytearray(source.read_bytes())
    damaged[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    source.write_bytes(damaged)
    with pytest.raises((HostFailure, sqlite3.Error)):
        copy_database(source, tmp_path / "copy.sqlite")
    assert not (tmp_path / "copy.sqlite").exists()


def test_a_database_without_a_migration_is_untouched(release_spec, tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(release_spec))
    with sqlite3.connect(source) as connection:
        connection.execute("UPDATE job SET state = 'succeeded'")
    aside = aside_path(release_spec)
    how = restore(release_spec, aside)
    assert how == "database untouched"
    assert rows(source) == [("a", "succeeded", "x")]


def test_a_migrated_database_is_restored_and_kept_aside(release_spec, tmp_path, reads_all):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(release_spec))
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
    aside = aside_path(release_spec)
    restore(release_spec, aside)
    assert version_and_schema(source) == version_and_schema(snapshot_path(release_spec))
    assert version_and_schema(aside)[0] == 2
    assert rows(source) == [("a", "running", "x")]


def test_newer_rows_are_carried_over(release_spec, tmp_path, reads_all):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x"), ("b", "pending", "y")])
    copy_database(source, snapshot_path(release_spec))
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
        connection.execute("UPDATE job SET state = 'succeeded', extra = 'e' WHERE id = 'a'")
        connection.execute("INSERT INTO job VALUES ('c', 'running', 'z', 'e')")
    aside = aside_path(release_spec)
    how = restore(release_spec, aside)
    assert "carried over" in how
    assert str(aside) in how
    assert rows(source) == [("a", "succeeded", "x"), ("b", "pending", "y"), ("c", "running", "z")]


def test_lost_jobs_are_restored_and_newer_jobs_are_kept(release_spec, tmp_path, reads_all):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x"), ("b", "running", "y")])
    copy_database(source, snapshot_path(release_spec))
    with sqlite3.connect(source) as connection:
        connection.execute("DELETE FROM job WHERE id = 'b'")
        connection.execute("UPDATE job SET state = 'succeeded'")
        connection.execute("INSERT INTO job VALUES ('c', 'pending', 'z')")
    aside = aside_path(release_spec)
    how = restore(release_spec, aside)
    assert "carried over" in how
    assert rows(source) == [("a", "succeeded", "x"), ("b", "running", "y"), ("c", "pending", "z")]
    assert ids(aside) == ["a", "c"]
    assert restore(release_spec, aside) == "database untouched"


def test_rows_that_the_old_code_cannot_read_are_kept_aside(release_spec, tmp_path, monkeypatch):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(release_spec))
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
        connection.execute("UPDATE job SET state = 'a state of tomorrow'")
    monkeypatch.setattr(remote_database, "old_code_reads", lambda release_spec, folder: False)
    aside = aside_path(release_spec)
    how = restore(release_spec, aside)
    assert str(aside) in how
    assert rows(source) == [("a", "running", "x")]
    assert rows(aside) == [("a", "a state of tomorrow", "x")]


def test_a_rollback_by_an_operator_never_drops_rows(release_spec, tmp_path, monkeypatch):
    release_spec["kind"] = "rollback"
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    old = tmp_path / "old.sqlite"
    copy_database(source, old)
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
    copy_database(source, snapshot_path(release_spec))
    monkeypatch.setattr(remote_database, "old_code_reads", lambda release_spec, folder: False)
    with pytest.raises(HostFailure, match="cannot read"):
        bring_older(release_spec, old, snapshot_path(release_spec))
    assert version_and_schema(source)[0] == 2


def test_a_database_kept_aside_is_never_overwritten(release_spec, tmp_path, reads_all):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(release_spec))
    aside = aside_path(release_spec)
    aside.write_text("what is left of an attempt before")
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
    restore(release_spec, aside)
    assert aside.read_text() == "what is left of an attempt before"
    assert version_and_schema(aside.with_name(f"{release_spec['id']}.failed-2.sqlite"))[0] == 2


def test_a_locked_database_is_not_replaced(release_spec, tmp_path, monkeypatch):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(release_spec))
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: connect(*a, **{**o, "timeout": 0.1}))
    aside = aside_path(release_spec)
    with connect(source) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HostFailure, match="locked"):
            restore(release_spec, aside)
    holder.close()
    assert ids(source) == ["a"]
    assert not aside.exists()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), sqlite3.OperationalError("disk is full")]
)
@pytest.mark.parametrize("copies", [0, 1])
def test_a_database_is_not_replaced_on_a_full_disk(
    release_spec, tmp_path, monkeypatch, error, copies
):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(release_spec))
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
    room = [copy_database] * copies

    def copy(old, new):
        if not room:
            raise error
        room.pop()(old, new)

    monkeypatch.setattr(remote_database, "copy_database", copy)
    with pytest.raises(HostFailure, match="cannot restore the database"):
        restore_database(release_spec, snapshot_path(release_spec), aside_path(release_spec))
    assert version_and_schema(source)[0] == 2
    assert [path.name for path in snapshot_path(release_spec).parent.iterdir()] == [
        f"{release_spec['id']}.sqlite"
    ]


def test_a_database_is_not_replaced_without_a_snapshot(release_spec, tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    with pytest.raises(HostFailure, match="cannot restore the database"):
        restore_database(release_spec, snapshot_path(release_spec), aside_path(release_spec))
    assert ids(source) == ["a"]


def test_a_file_that_is_not_a_database_is_damaged(release_spec, tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(release_spec))
    source.write_text("no database at all " * 500)
    how = restore_database(release_spec, snapshot_path(release_spec), aside_path(release_spec))
    assert "damaged" in how
    assert ids(source) == ["a"]


def test_a_damaged_database_is_replaced_by_the_snapshot(release_spec, tmp_path):
    source = database(tmp_path / "db.sqlite", [(str(n), "x", "y" * 900) for n in range(200)])
    copy_database(source, snapshot_path(release_spec))
    damaged = bytearray(source.read_bytes())
    damaged[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    source.write_bytes(damaged)
    aside = aside_path(release_spec)
    how = restore(release_spec, aside)
    assert "damaged" in how
    assert aside.read_bytes() == bytes(damaged)
    assert len(rows(source)) == 200


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_killed_migration_is_recovered_before_going_back(release_spec, tmp_path, reads_all, mode):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    with sqlite3.connect(source) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    copy_database(source, snapshot_path(release_spec))
    half = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('BEGIN')\n"
        "c.execute('ALTER TABLE job ADD COLUMN extra TEXT')\n"
        "c.executemany('INSERT INTO job VALUES (?, ?, ?, ?)',"
        " [(str(n), 's', 'x' * 900, 'e') for n in range(500)])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", half, str(source)], check=False)
    assert source.with_name(f"db.sqlite-{'wal' if mode == 'wal' else 'journal'}").exists()
    aside = aside_path(release_spec)
    restore(release_spec, aside)
    assert rows(source) == [("a", "running", "x")]
