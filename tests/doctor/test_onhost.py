"""doctor's program on the host: it answers with facts and changes nothing."""

import errno
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from opstasks.doctor.facts import DiskFacts, DoctorFacts, DoctorPath
from opstasks.doctor.onhost import inspect as remote_inspect
from tests.fake_engine import DOCKER_29, Release


def test_sqlite_itself_checks_the_database(tmp_path):
    path = tmp_path / "db.sqlite"
    assert remote_inspect.database(str(path)) == {"problem": "is not there", "damaged": False}
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE job (id TEXT)")
    assert remote_inspect.database(str(path)) == {"problem": "", "damaged": False}
    path.write_bytes(b"no database at all" * 100)
    found = remote_inspect.database(str(path))
    assert ("not a database" in found["problem"], found["damaged"]) == (True, True)


def test_a_temporarily_unusable_database_is_not_damaged(tmp_path, monkeypatch):
    path = tmp_path / "db.sqlite"
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: connect(*a, **{**o, "timeout": 0.1}))
    with connect(path) as holder:
        holder.execute("CREATE TABLE job (id TEXT)")
        holder.commit()
        holder.execute("BEGIN EXCLUSIVE")
        found = remote_inspect.database(str(path))
        assert found == {"problem": "the database is locked", "damaged": False}
    holder.close()
    folder = tmp_path / "folder.sqlite"
    folder.mkdir()
    found = remote_inspect.database(str(folder))
    assert (bool(found["problem"]), found["damaged"]) == (True, False)


def test_damaged_pages_are_reported_as_damage(tmp_path):
    path = tmp_path / "db.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE job (id TEXT)")
        connection.executemany("INSERT INTO job VALUES (?)", [("y" * 900,) for _ in range(200)])
    connection.close()
    pages = bytearray(path.read_bytes())
    pages[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    path.write_bytes(pages)
    found = remote_inspect.database(str(path))
    assert (bool(found["problem"]), found["damaged"]) == (True, True)


@pytest.mark.parametrize(("free", "count"), [(1 << 64, 12), (3, 0), (12, 12)])
def test_a_drive_with_more_free_than_it_has_is_not_full(monkeypatch, free, count):
    values = (4096, 4096, count, free, free, count, free, free, 0, 255)
    monkeypatch.setattr(os, "statvfs", lambda name: os.statvfs_result(values))
    found = msgspec.convert(remote_inspect.disk("/mnt/drive"), DiskFacts)
    assert found.inodes_percent == 0
    assert found.used_percent == 0


def test_a_hanging_or_missing_command_gives_an_answer(monkeypatch):
    monkeypatch.setattr(remote_inspect, "LIMIT_S", 0.2)
    assert remote_inspect.tried("sleep", "5") == {"code": 124, "text": "no answer within 0.2 s"}
    assert remote_inspect.tried("no-such-program")["code"] == 127
    words = ("sh", "-c", "echo first; echo last >&2; exit 3")
    assert remote_inspect.tried(*words) == {"code": 3, "text": "last"}


def test_the_program_answers_in_its_type_and_changes_nothing(tmp_path, start_engine):
    start_engine(DOCKER_29)
    folder = tmp_path / "folder"
    folder.mkdir()
    file = tmp_path / "file"
    file.touch()
    request = {
        "programs": ["sh", "no-such-program"],
        "paths": [str(folder), "/no/such/path"],
        "folders": [str(folder), f"{folder}/new", f"{file}/new", str(file)],
        "sudo": [],
        "database": str(folder / "db"),
        "disks": [str(folder), "/no/such/path"],
        "hold": str(folder),
    }
    found = msgspec.convert(remote_inspect.main(request), DoctorFacts)
    assert found.programs["no-such-program"] == ""
    assert found.paths["/no/such/path"] is None
    assert found.closed == {str(file): "it is not a folder"}
    assert found.paths[str(folder)].writable
    assert found.disks["/no/such/path"] is None
    assert 0 <= found.disks[str(folder)].used_percent <= 100
    assert (found.docker.error, found.docker.version) == ("", "1.52")
    assert os.listdir(folder) == []


@pytest.mark.parametrize(("granted", "readable"), [("rw", False), ("rx", True), ("rwx", True)])
def test_a_folder_that_cannot_be_entered_is_not_readable(tmp_path, monkeypatch, granted, readable):
    """What is below it cannot be reached: a deploy is refused."""
    bits = sum({"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}[letter] for letter in granted)
    monkeypatch.setattr(os, "access", lambda name, asked: not asked & ~bits)
    (tmp_path / "file").touch()
    assert remote_inspect.path(str(tmp_path))["readable"] is readable
    assert remote_inspect.path(str(tmp_path / "file"))["readable"], "a file is not entered"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ELOOP, errno.EIO])
def test_only_what_is_not_there_is_missing(tmp_path, monkeypatch, number):
    (tmp_path / "file").touch()
    for name in ("none", "none/below", "file/below"):
        assert remote_inspect.path(str(tmp_path / name)) is None
    place = tmp_path / "a" / "b" / "c"
    is_rights = number in (errno.EACCES, errno.EPERM)

    def stat(path):
        raise OSError(number, os.strerror(number), str(path))

    closed = str(tmp_path / "a")
    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(os, "access", lambda name, asked: not str(name).startswith(closed))
    found = msgspec.convert(remote_inspect.path(str(place)), DoctorPath)
    assert (found.readable, found.writable) == (False, False)
    reason = os.strerror(number)
    reason = reason[0].lower() + reason[1:]
    assert found.why == (f"{reason}: {closed}" if is_rights else reason)
    assert found.closed_at == (closed if is_rights else "")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account")
def test_what_is_in_a_closed_folder_is_not_called_missing():
    """As the last test, with real rights."""
    code = (
        "import json, os, sys; from opstasks.doctor.onhost.inspect import path;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "print(json.dumps([path(name) for name in sys.argv[1:]]))"
    )
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        closed = Path(top, "closed")
        (closed / "b").mkdir(parents=True)
        (closed / "b" / "file").touch()
        closed.chmod(0)
        words = [sys.executable, "-c", code, str(closed / "b" / "file"), f"{top}/none"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    hidden, none = json.loads(done.stdout)
    assert (hidden["readable"], hidden["closed_at"]) == (False, str(closed))
    assert hidden["why"] == f"permission denied: {closed}"
    assert none is None


def test_docker_is_checked_with_the_client_of_jobs_and_images(any_engine, monkeypatch):
    assert remote_inspect.docker() == {"error": "", "version": any_engine.release.api}
    assert any_engine.log[-1] == (any_engine.release.newest, "GET", "/containers/json")
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    assert "only unix://PATH is supported" in remote_inspect.docker()["error"]


def test_an_engine_that_refuses_us_is_reported_with_its_message(start_engine):
    start_engine(Release("50", (1, 60), (1, 70)))
    assert remote_inspect.docker()["error"].startswith("docker says: client version 1.52 is too")
