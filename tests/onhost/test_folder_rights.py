"""A folder of ours that cannot be written is found before anything is changed."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from opstasks.core.errors import Refused
from opstasks.core.result import Result
from opstasks.locks.break_lock import STOP
from opstasks.onhost import folder_rights
from opstasks.onhost.accounts import account_name
from opstasks.onhost.folder_rights import NO_FOLDER, READ_ONLY, Closed, closed, refuse_closed
from opstasks.onhost.protocol import HostRefusal, answer_to


def shut(monkeypatch, *places):
    """Take the right to write to some folders; root would have it in any case."""
    names = set(map(str, places))
    monkeypatch.setattr(os, "access", lambda place, mode: str(place) not in names)


def test_a_missing_folder_can_be_made_where_the_one_above_is_writable(tmp_path, monkeypatch):
    assert closed(str(tmp_path)) is None
    assert closed(str(tmp_path / "a" / "b")) is None
    shut(monkeypatch, tmp_path)
    assert closed(str(tmp_path / "a" / "b")).place == str(tmp_path)


@pytest.mark.parametrize("kind", ["file", "file above", "link to nothing"])
def test_something_else_in_place_of_a_folder_is_named(tmp_path, kind):
    place = tmp_path / "snapshots"
    place.symlink_to("nowhere") if kind == "link to nothing" else place.write_text("")
    inner = place / "inner" if kind == "file above" else place
    assert closed(str(inner)) == Closed(str(place), NO_FOLDER)


def test_the_owner_of_a_closed_folder_is_named(tmp_path, monkeypatch):
    shut(monkeypatch, tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    owner = account_name(tmp_path.stat().st_uid)
    assert closed(str(tmp_path)) == Closed(str(tmp_path), f"it belongs to {owner}")


def test_the_mode_of_an_own_closed_folder_is_named(tmp_path, monkeypatch):
    tmp_path.chmod(0o550)
    shut(monkeypatch, tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid)
    assert closed(str(tmp_path)) == Closed(str(tmp_path), "its mode is 0550")


@pytest.mark.parametrize("is_read_only", [True, False])
def test_the_refusal_names_the_place_and_its_hint_fits(tmp_path, monkeypatch, is_read_only):
    place = tmp_path / "snapshots"
    place.mkdir()
    shut(monkeypatch, place)
    flags = SimpleNamespace(f_flag=os.ST_RDONLY if is_read_only else 0)
    monkeypatch.setattr(folder_rights.os, "statvfs", lambda place: flags)
    answer = answer_to(lambda request: refuse_closed(str(tmp_path), str(place)), {})
    with pytest.raises(Refused, match=f"cannot write to {place}: ") as caught:
        STOP.decode(Result("x", 0, json.dumps(answer), ""), "tpp")
    assert (READ_ONLY in caught.value.message) == is_read_only
    assert ("dmesg" if is_read_only else "chown") in caught.value.hint


def test_folders_that_can_be_written_are_not_refused(tmp_path):
    refuse_closed(str(tmp_path), str(Path(tmp_path, "new")))
    (tmp_path / "file").write_text("")
    with pytest.raises(HostRefusal, match="file: it is not a folder"):
        refuse_closed(str(tmp_path), str(tmp_path / "file"))
