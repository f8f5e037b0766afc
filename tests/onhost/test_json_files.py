"""Small JSON files, complete or absent."""

import os
from pathlib import Path

import pytest

from opstasks.onhost.json_files import is_copy, read_json, write_json


def test_a_file_is_written_with_its_mode_and_read_back(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"b": 1, "a": [2]}, 0o640)
    assert read_json(path) == {"a": [2], "b": 1}
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_file_left_by_an_interrupted_writer_is_ignored(tmp_path):
    path = tmp_path / "record.json"
    path.with_name("record.json.new").write_text("half")
    write_json(path, {}, 0o600)
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_full_disk_leaves_the_old_file_and_no_partial_one(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_json(path, {"old": True}, 0o600)

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"old": False}, 0o600)
    assert read_json(path) == {"old": True}
    assert os.listdir(tmp_path) == ["record.json"]


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff", b"null", b"[" * 100_000])
def test_anything_but_an_object_counts_as_empty(tmp_path, data):
    path = tmp_path / "record.json"
    path.write_bytes(data)
    assert read_json(path) == {}
    assert read_json(Path("/no/such/file")) == {}


@pytest.mark.parametrize(
    ("record", "copied"),
    [
        ({"id": "a"}, True),
        *(({"id": id}, False) for id in ("gone", "b", "", "a\0", 1)),
        *((other, False) for other in ({}, [], None)),
    ],
)
def test_a_copy_has_the_id_of_another_record_that_exists(tmp_path, record, copied):
    (tmp_path / "a.json").touch()
    assert is_copy(tmp_path / "b.json", record) is copied
