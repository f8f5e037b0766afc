"""A copy of a database is complete or absent, and nothing of an earlier try stays."""

import contextlib
import os
import pwd
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from opstasks.deploy.onhost import snapshots
from opstasks.maintenance.onhost import database as reboots
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost import database_copy
from opstasks.onhost.database_copy import copy_database
from opstasks.onhost.database_errors import explain, is_damaged, is_locked
from opstasks.onhost.protocol import HostFailure

ID = "20240102T000000-abcdef"
RUN = "20240101T000000-abcdef"
LEFT = (
    *(f"{RUN}.sqlite.new", f"{RUN}.sqlite.new-journal", f"{RUN}bb.sqlite.new-wal"),
    *(
        f"{RUN}.failed.sqlite.new-shm",
        f"{RUN}.failed-2.sqlite.new",
        f"{RUN}.json.new",
        f"{ID}.sqlite.new",
    ),
)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "db.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE job (id TEXT)")
    connection.close()
    return path


def left_behind(folder):
    """What processes that were killed left."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LEFT:
        (folder / name).write_text("a part")
    return folder


@pytest.fixture
def full(monkeypatch):
    """The disk becomes full while a copy is written."""

    class Full:
        def backup(self, target, progress=None):
            raise sqlite3.OperationalError("database or disk is full")

        def close(self):
            pass

    real = sqlite3.connect
    monkeypatch.setattr(database_copy, "open_read_only", lambda path: Full())

    def connect(path, *words, **options):
        if str(path).endswith(".new"):
            Path(f"{path}-journal").write_text("a part")
        return real(path, *words, **options)

    monkeypatch.setattr(database_copy.sqlite3, "connect", connect)


def deploy_copy(source, folder):
    copy_database(source, folder / f"{ID}.sqlite")


def reboot_copy(source, folder):
    blank = dict.fromkeys(Site.__dataclass_fields__, "")
    site = Site(**{**blank, "database": str(source), "state_dir": str(folder.parent)})
    reboots.snapshot(site, ID)


COPIES = pytest.mark.parametrize("copy", [deploy_copy, reboot_copy])


@pytest.fixture(autouse=True)
def as_ourselves(monkeypatch):
    monkeypatch.setattr(reboots, "as_service", lambda site, work, limit_s=0: work())


@COPIES
def test_a_full_disk_leaves_no_part_of_a_copy(source, tmp_path, full, copy):
    folder = left_behind(tmp_path / "state" / "reboots")
    with pytest.raises(HostFailure, match=rf"database to .*/{ID}.sqlite: the disk is full"):
        copy(source, folder)
    assert list(folder.iterdir()) == []


@COPIES
def test_a_copy_leaves_what_people_put_beside_it(source, tmp_path, copy):
    folder = tmp_path / "state" / "reboots"
    folder.mkdir(parents=True)
    names = {"notes.new", "db.sqlite.new", f"{RUN}.txt.new", f"my {RUN}.sqlite.new"}
    for name in names:
        (folder / name).write_text("of a person")
    copy(source, folder)
    assert {path.name for path in folder.iterdir()} == {*names, f"{ID}.sqlite"}


@COPIES
def test_a_copy_removes_what_a_killed_one_left(source, tmp_path, copy):
    folder = left_behind(tmp_path / "state" / "reboots")
    copy(source, folder)
    assert [path.name for path in folder.iterdir()] == [f"{ID}.sqlite"]


def test_the_end_of_a_release_removes_what_killed_ones_left(tmp_path):
    state = tmp_path / "state"
    for folder in ("snapshots", "releases"):
        left_behind(state / folder)
    for name in ("workdir/.restore-abcdefgh", "state/staging-abcdefgh"):
        (tmp_path / name).mkdir(parents=True)
    spec = {
        "id": "r",
        "state_dir": str(state),
        "database": str(tmp_path / "workdir" / "db.sqlite"),
        "keep_snapshots": 2,
    }
    snapshots.prune(spec)
    # Another person may be inspecting the host just now.
    found = {path.name for path in tmp_path.rglob("*")}
    assert found == {"state", "snapshots", "releases", "workdir", "staging-abcdefgh"}


@pytest.mark.parametrize(
    ("error", "text", "damaged", "locked"),
    [
        (
            sqlite3.DatabaseError("file is not a database"),
            "the database is damaged: file is not a database",
            True,
            False,
        ),
        (
            sqlite3.OperationalError("no such table: job"),
            "the database is damaged: no such table: job",
            True,
            False,
        ),
        (sqlite3.OperationalError("database is locked"), "the database is locked", False, True),
        (
            sqlite3.OperationalError("database or disk is full"),
            "the disk is full",
            False,
            False,
        ),
    ],
)
def test_an_error_of_sqlite_has_the_same_words_everywhere(error, text, damaged, locked):
    assert (explain(error), is_damaged(error), is_locked(error)) == (text, damaged, locked)


def test_a_locked_database_names_the_process_that_has_it(source, tmp_path):
    text = f"import sqlite3; c = sqlite3.connect('{source}', isolation_level=None)"
    text += "; c.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); input()"
    words = [sys.executable, "-c", text]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, text=True, **pipes) as other:
        assert other.stdout.readline() == "locked\n"
        with (
            contextlib.closing(database_copy.open_read_only(source, 0.1)) as connection,
            pytest.raises(sqlite3.OperationalError) as caught,
        ):
            connection.execute("SELECT * FROM job")
        found = explain(caught.value, source)
        other.communicate("\n")
    owner = pwd.getpwuid(os.geteuid()).pw_name
    assert found.startswith("the database is locked by python")
    assert found.endswith(f"(process {other.pid} of {owner})")
    assert explain(caught.value, source) == "the database is locked"


def test_a_locked_database_ends_the_copy_after_the_time_limit(source, tmp_path, monkeypatch):
    monkeypatch.setattr(
        database_copy,
        "open_read_only",
        lambda path: sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.2),
    )
    with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HostFailure, match="the database is locked"):
            copy_database(source, tmp_path / "copies" / "a.sqlite")
    assert list((tmp_path / "copies").iterdir()) == []
    copy_database(source, tmp_path / "copies" / "a.sqlite")
