"""The records of removals: on the host's disk, in answers, and those that wait for a person."""

import errno
import json
import os
from types import SimpleNamespace

import pytest

from opstasks.core.errors import InvalidResponse, Refused
from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.onhost import protocol, safe_files
from opstasks.onhost.protocol import HostFailure, HostRefusal
from opstasks.outputs import removals
from opstasks.outputs.onhost import attest, list_records
from opstasks.outputs.onhost.records import RemovalRecord, read_records, write_record
from opstasks.outputs.removals import ATTEST, RECORDS
from tests.fake_host import ANY, Reply


def decoded(program, answer):
    """The records that the client reads in a program's answer."""
    return program.decode(Result("", 0, json.dumps({"ok": answer}), ""), "h").records


def test_a_removal_is_open_until_it_is_attested_and_attesting_is_done_once(tree):
    folder = str(tree.top / "records")
    tree.put(tree.root / "W/a.csv", "x")
    asked = tree.asked("W", "a.csv", tree.facts("a.csv"))
    asked["record"]["partner_path"] = "D:\\W\\a.csv"
    tree.remove("a.csv", record=asked["record"])
    asked = {"root": str(tree.root), "records": folder, "to_write": False}
    (record,) = decoded(RECORDS, list_records.main(asked))
    assert record.is_open
    assert not record.returned
    words = {"records": folder, "ids": ["abc-1"], "by": "Alex", "recorded_by": "a@b", "note": ""}
    (record,) = decoded(ATTEST, attest.main(words))
    assert (record.id, record.attested.by) == ("abc-1", "Alex")
    assert attest.main({**words, "by": "Eve"})["records"] == []
    tree.put(tree.root / "W/a.csv", "back")
    (record,) = decoded(RECORDS, list_records.main(asked))
    assert not record.is_open
    assert record.attested.by == "Alex"
    assert record.attested.at > 0
    assert record.returned


def test_a_record_is_read_as_it_was_written_newest_first(tmp_path):
    old = RemovalRecord("a-1", "W", "f", started_at=1.0, size_bytes=3)
    new = RemovalRecord("b-1", "W", "\udcff\n", state="failed", started_at=2.0, error="why")
    for record in (old, new):
        write_record(str(tmp_path), record)
    assert read_records(str(tmp_path)) == [new, old]
    assert read_records(str(tmp_path / "absent")) == []


RECORD = {"id": "a-1", "workspace": "W", "file": "f"}
INVALID = [
    {"state": "gone"},
    {"source": "elsewhere"},
    {"size_bytes": -1},
    {"size_bytes": "3"},
    {"started_at": -1.0},
    {"removed_at": 1e12},
    {"who": None},
    {"attested": "Alex"},
    {"attested": {"by": "Alex", "recorded_by": "x", "at": 1e12}},
    {"attested": {"by": None, "recorded_by": "x", "at": 1.0}},
    {"id": None},
]


@pytest.mark.parametrize(
    "text",
    [
        *(json.dumps({**RECORD, **over}) for over in [*INVALID, {"state": "unreadable"}]),
        *("[]", "{", "", '"', "[" * 100_000, json.dumps({**RECORD, "id": "a-2"})),
    ],
    ids=lambda text: text[-40:],
)
def test_an_invalid_record_is_named_and_hides_no_other_record(tmp_path, text):
    (tmp_path / "a-1.json").write_text(text)
    (tmp_path / "b-1.json").write_text(json.dumps({**RECORD, "id": "b-1", "started_at": 1.0}))
    found = decoded(RECORDS, list_records.main(asked(tmp_path)))
    assert [(record.id, record.is_readable, record.is_open) for record in found] == [
        ("b-1", True, True),
        ("a-1", False, True),
    ]
    assert "it is not a record of this version" in found[1].error


def asked(folder, *, to_write=False):
    return {"root": str(folder / "none"), "records": str(folder), "to_write": to_write}


def test_a_persons_copy_of_a_record_is_no_removal(tmp_path):
    (tmp_path / "a-1.json").write_text(json.dumps({**RECORD, "state": "removed"}))
    (tmp_path / "a-1-copy.json").write_text(json.dumps(RECORD))
    assert [(found.id, found.state) for found in read_records(str(tmp_path))] == [
        ("a-1", "removed")
    ]
    # Without the record itself, the copy is all that is left of it.
    (tmp_path / "a-1.json").unlink()
    assert [(found.id, found.state) for found in read_records(str(tmp_path))] == [
        ("a-1-copy", "unreadable")
    ]


OLD = "as root: look at what is there instead of the folder"
CHOWN = "as root: give it to the service account (chown"
UNREAD = {
    "a file": (None, 0, OLD),
    "a link to a file": (None, 0, OLD),
    "a link to itself": (None, 0, OLD),
    "below a file": (None, 0, OLD),
    "a closed folder": (errno.EACCES, 0, CHOWN),
    "a read-only disk": (errno.EACCES, os.ST_RDONLY, "find out why the disk is read-only"),
    "a broken disk": (errno.EIO, 0, "inv -H h doctor"),
    "no memory": (errno.ENOMEM, 0, "inv -H h doctor"),
}


@pytest.mark.parametrize("kind", UNREAD)
def test_the_hint_for_records_that_cannot_be_read_fits_their_folder(
    tmp_path, monkeypatch, fake_host, kind
):
    number, flags, hint = UNREAD[kind]
    folder, file = tmp_path / "records", tmp_path / "file"
    file.touch()
    targets = {"a link to a file": "file", "a link to itself": "records"}
    if kind in targets:
        folder.symlink_to(targets[kind])
    elif kind == "a file":
        folder.touch()
    elif kind == "below a file":
        folder = file / "records"
    else:
        folder.mkdir()
        error = OSError(number, os.strerror(number), str(folder))
        monkeypatch.setattr(os, "listdir", lambda place: raise_(error))
        monkeypatch.setattr(os, "access", lambda place, mode: number != errno.EACCES)
        monkeypatch.setattr(os, "statvfs", lambda place: SimpleNamespace(f_flag=flags))
    host = fake_host("h")
    answer = protocol.answer_to(list_records.main, asked(folder))
    host.expect(RECORDS, ANY, Reply(out=json.dumps(answer)))
    with pytest.raises(Refused, match="the records of removals cannot be read: ") as caught:
        removals.read(host)
    assert caught.value.hint.startswith(hint)


def raise_(error):
    raise error


@pytest.mark.parametrize("kind", ["closed", "folder", "pipe", "link"])
def test_a_record_that_cannot_be_opened_is_named(tmp_path, monkeypatch, kind):
    path, read = tmp_path / "a-1.json", safe_files.read
    if kind == "closed":
        path.write_text(json.dumps(RECORD))
        monkeypatch.setattr(safe_files, "read", lambda name: denied(name))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        path.mkdir()
    (found,) = decoded(RECORDS, list_records.main(asked(tmp_path)))
    monkeypatch.setattr(safe_files, "read", read)
    assert (found.id, found.state, bool(found.error)) == ("a-1", "unreadable", True)
    assert kind != "closed" or found.error == "permission denied"


def denied(name):
    raise PermissionError(errno.EACCES, "Permission denied", str(name))


def test_a_folder_of_records_that_cannot_be_read_is_not_an_empty_one(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(HostRefusal, match="records of removals cannot be read: permission denied"):
        read_records(str(tmp_path))


def test_before_a_removal_the_folder_of_records_must_be_writable(tmp_path):
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(HostRefusal, match=f"{tmp_path}/outputs: it is not a folder"):
        list_records.main(asked(tmp_path / "outputs", to_write=True))
    assert list_records.main(asked(tmp_path / "new", to_write=True)) == {"records": []}
    assert not (tmp_path / "new").exists()


def test_no_removal_is_attested_if_one_of_them_cannot_be_read(tmp_path):
    write_record(str(tmp_path), RemovalRecord("a-1", "W", "f", state="removed"))
    (tmp_path / "a-2.json").write_text("")
    words = {"records": str(tmp_path), "by": "Alex", "recorded_by": "a@b", "note": ""}
    with pytest.raises(HostRefusal, match="the record of a-2 cannot be read"):
        attest.main({**words, "ids": ["a-1", "a-2"]})
    assert [record.attested for record in read_records(str(tmp_path))] == [None, None]
    assert len(attest.main({**words, "ids": ["a-1"]})["records"]) == 1


def test_an_attestation_that_ends_between_two_records_says_which_is_done(tmp_path, monkeypatch):
    for number in (1, 2, 3):
        record = RemovalRecord(f"a-{number}", "W", "f", state="removed", started_at=9.0 - number)
        write_record(str(tmp_path), record)

    def full_at_the_third(folder, record):
        if record.id == "a-3":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_record(folder, record)

    monkeypatch.setattr(attest, "write_record", full_at_the_third)
    words = {"records": str(tmp_path), "by": "Alex", "recorded_by": "a@b", "note": ""}
    with pytest.raises(HostFailure, match="attested: a-1, a-2; a-3 cannot be attested: no space"):
        attest.main({**words, "ids": ["a-1", "a-2", "a-3"]})
    assert [r.attested is not None for r in read_records(str(tmp_path))] == [True, True, False]


def test_a_removal_is_chosen_beside_a_record_that_cannot_be_read():
    known = [RemovalRecord("abc-1", "W", "f"), RemovalRecord("abc-2", "", "", state="unreadable")]
    assert [r.id for r in removals.find("tpp", known, ["abc-1"])] == ["abc-1"]
    for id in ("abc", "abc-2"):
        with pytest.raises(Refused, match="the record of abc-2 cannot be read") as caught:
            removals.find("tpp", known, [id])
        assert caught.value.hint == "inv -H tpp outputs.pending"


@pytest.mark.parametrize("over", INVALID, ids=repr)
def test_an_invalid_record_in_an_answer_is_an_invalid_response(over):
    assert decoded(RECORDS, {"records": [RECORD]}) == (RemovalRecord("a-1", "W", "f"),)
    with pytest.raises(InvalidResponse):
        decoded(RECORDS, {"records": [{**RECORD, **over}]})


def test_removals_are_found_by_id_or_by_the_part_before_the_dash():
    known = [RemovalRecord(i, workspace="W", file="f") for i in ("abc-1", "abc-2", "abd-1")]
    assert [r.id for r in removals.find("tpp", known, ["abc"])] == ["abc-1", "abc-2"]
    assert [r.id for r in removals.find("tpp", known, ["abc-2", "abc"])] == ["abc-2", "abc-1"]
    for unknown in ("ab", "", "abc-3"):
        with pytest.raises(Refused):
            removals.find("tpp", known, [unknown])


def test_the_partners_steps_name_every_path_and_the_command_that_closes_them():
    spec = HostSpec(name="tpp")
    record = RemovalRecord("abc-1", "W", "f", partner_path="D:\\ws\\W\\f")
    lines = removals.partner_steps(spec, [record])
    assert "  D:\\ws\\W\\f" in lines
    assert lines[-1] == "then: inv -H tpp outputs.attest abc"
    assert removals.partner_steps(spec, [RemovalRecord("abc-1", "W", "f")]) == []
