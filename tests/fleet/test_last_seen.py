"""What was seen on hosts is kept for the Tab key: plain names only, and never at any cost."""

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.fleet.last_seen import (
    KINDS,
    MOST_AT_ONCE,
    MOST_VALUES,
    SeenValue,
    Sightings,
    path_of,
    read,
    values,
)

JOB = "ovlotu5a2b3c4d5e"
HOSTILE = [
    "",
    "-rf",
    "--yes",
    "a b c d",
    "abcd\n",
    "abcd\x1b[2J",
    "abcd'",
    'abcd"',
    "$(reboot)",
    "`reboot`",
    "abcd;reboot",
    "abcd|sh",
    "abcd&",
    "abcd>x",
    "abcd*",
    "~abcd",
    "abcd\\",
    "!abcd",
    "#abcd",
    "{a,b}cd",
    "\u0430bcd",  # a letter that looks like an a
    "abcd\u202e",
    "a" * 500,
]


@pytest.fixture
def inventory(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "hosts.yaml"


def keep(inventory, kind, host, entries):
    seen = Sightings()
    seen.add(kind, host, entries)
    seen.write(inventory)


def kept(inventory, kind, hosts=None):
    return [entry.value for entry in values(path_of(inventory), kind, hosts)]


def test_only_the_person_can_read_what_was_seen(inventory):
    keep(inventory, "jobs", "tpp", [JOB])
    path = path_of(inventory)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_another_inventory_has_another_file(inventory, tmp_path):
    keep(inventory, "jobs", "tpp", [JOB])
    assert kept(tmp_path / "other.yaml", "jobs") == []


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_that_a_shell_could_misunderstand_is_dropped(inventory, kind, value):
    keep(inventory, kind, "tpp", [value])
    assert kept(inventory, kind) == []


@given(value=st.text(max_size=120))
def test_a_kept_value_is_one_plain_word(value):
    for pattern in KINDS.values():
        if pattern.fullmatch(value):
            assert value.isascii()
            assert not value.startswith("-")
            assert not set(value) & set(" \t\n'\"$`\\!*?[]{}()<>|&;~#,=%^")


def test_a_note_that_is_not_plain_is_dropped_without_its_value(inventory):
    keep(inventory, "jobs", "tpp", [(JOB, "evil\x1b]0;x\x07"), ("abcd", "study-b-extract running")])
    assert read(path_of(inventory))["jobs"] == [
        SeenValue(JOB, "tpp", ""),
        SeenValue("abcd", "tpp", "study-b-extract running"),
    ]


def test_the_newest_values_come_first_and_once(inventory):
    keep(inventory, "refs", "tpp", ["v1", "main"])
    keep(inventory, "refs", "emis", ["v2", "main"])
    assert kept(inventory, "refs") == ["v2", "main", "v1"]
    assert kept(inventory, "refs", {"tpp"}) == ["v1", "main"]


def test_one_host_cannot_fill_the_memory(inventory):
    keep(inventory, "jobs", "emis", [JOB])
    keep(inventory, "jobs", "tpp", [f"job{number}" for number in range(10_000)])
    found = kept(inventory, "jobs")
    assert found[:2] == ["job0", "job1"]
    assert len(found) == MOST_AT_ONCE + 1
    assert found[-1] == JOB


def test_the_memory_has_a_limit(inventory):
    for host in range(10):
        keep(inventory, "jobs", f"h{host}", [f"job{host}x{n}" for n in range(MOST_AT_ONCE)])
    assert len(read(path_of(inventory))["jobs"]) == MOST_VALUES


def test_a_run_that_saw_nothing_writes_nothing(inventory):
    keep(inventory, "jobs", "tpp", ["$bad"])
    Sightings().write(inventory)
    assert not path_of(inventory).exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"jobs": 1}',
        b'{"jobs": [["abcd", "tpp"]], "jobs2": [[1, 2, 3]]}',
        b'{"jobs": [["abcd", "tpp", ""]], "unknown": []}' + b" " * (3 << 20),
        json.dumps({"jobs": [["abcd", "tpp", ""]] * (MOST_VALUES + 1)}).encode(),
    ],
)
def test_a_file_that_is_not_usable_offers_nothing_and_is_replaced(inventory, data):
    keep(inventory, "jobs", "tpp", ["first"])
    path_of(inventory).write_bytes(data)
    assert set(kept(inventory, "jobs")) <= {"abcd"}
    keep(inventory, "jobs", "tpp", [JOB])
    assert kept(inventory, "jobs")[0] == JOB


def test_values_in_an_edited_file_are_checked_again(inventory):
    keep(inventory, "jobs", "tpp", ["first"])
    path_of(inventory).write_text(
        '{"jobs": [["$(reboot)", "tpp", ""], ["good", "tpp", "\\u001b"]]}'
    )
    assert read(path_of(inventory)) == {"jobs": [SeenValue("good", "tpp", "")]}


def test_a_folder_that_cannot_be_written_does_not_fail_the_run(inventory, monkeypatch):
    (inventory.parent / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(inventory.parent / "file"))
    keep(inventory, "jobs", "tpp", [JOB])
    assert kept(inventory, "jobs") == []


def test_a_pipe_in_place_of_the_file_does_not_block(inventory):
    path = Path(path_of(inventory))
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert kept(inventory, "jobs") == []
