"""A run of the Level 3 sync, with a fake rsync."""

import errno
import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.fleet.program import script_text
from opstasks.sync.facts import SyncRecord
from opstasks.sync.onhost import records
from opstasks.sync.onhost import run as remote_run
from opstasks.sync.onhost import survey as remote_survey
from opstasks.sync.onhost.records import RunRecord


@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=("Cs",)), min_size=1))
def test_a_pattern_has_no_wildcards(name):
    found = remote_survey.pattern(name)
    assert found.startswith("/")
    if not any(sign in name for sign in "*?["):
        assert found[1:] == name
        return
    bare, literal, signs = found[1:], "", iter(found[1:])
    for sign in signs:
        assert sign not in "*?["
        literal += next(signs) if sign == "\\" else sign
    assert literal == name, bare


@pytest.fixture
def place(tmp_path):
    """A source that looks mounted, a target, and a request for a run."""
    for name in ("e/ws", "srv/ws", "home"):
        (tmp_path / name).mkdir(parents=True)
    return {
        "source": str(tmp_path / "e/ws"),
        "target": str(tmp_path / "srv/ws"),
        "temp_dir": str(tmp_path / "srv/.tmp"),
        "state_dir": str(tmp_path / "home/opstasks"),
        "rsync": ["sh", "-c", "cat >/dev/null; echo '>f+++++++++ 12 W/new.csv'"],
    }


@pytest.fixture
def points(tmp_path):
    return ["/", str(tmp_path / "e"), str(tmp_path / "srv")]


def state_of(place):
    return json.loads(Path(place["state_dir"], "level3-sync.json").read_text())


def test_a_run_leaves_a_record_and_the_time_of_its_success(place, points):
    record = remote_run.run(place, points)
    assert (record.error, record.copied, record.copied_bytes) == ("", 1, 12)
    assert state_of(place)["last"]["items"] == ["W/new.csv"]
    assert time.time() - state_of(place)["last_success_at"] < 10
    assert not Path(place["temp_dir"]).exists()


def test_nothing_is_copied_if_the_source_is_not_mounted(place, tmp_path):
    place["rsync"] = ["touch", str(tmp_path / "ran")]
    record = remote_run.run(place, ["/"])
    assert "is not mounted" in record.error
    assert not (tmp_path / "ran").exists()
    assert state_of(place)["last_success_at"] == 0.0


def test_a_failure_keeps_the_time_of_the_last_success(place, points):
    remote_run.run(place, points)
    before = state_of(place)["last_success_at"]
    place["rsync"] = ["sh", "-c", "echo 'rsync: mkstemp: Permission denied (13)' >&2; exit 23"]
    record = remote_run.run(place, points)
    assert "Permission denied" in record.error
    assert state_of(place)["last_success_at"] == before


def test_files_that_disappear_during_the_run_are_not_a_failure(place, points):
    place["rsync"] = ["sh", "-c", "exit 24"]
    assert remote_run.run(place, points).error == ""


def test_a_target_on_another_file_system_is_refused(place, points):
    for extra in (place["temp_dir"], place["target"] + "/W"):
        record = remote_run.run(place, [*points, extra])
        assert "another file system" in record.error


def test_a_source_inside_the_target_is_refused(place, points):
    place["source"] = place["target"]
    assert "overlap" in remote_run.run(place, points).error


def test_files_of_an_interrupted_run_are_removed_first(place, points):
    temp = Path(place["temp_dir"])
    temp.mkdir()
    (temp / "old.csv.AbCdEf").write_text("half a fi")
    place["rsync"] = ["sh", "-c", f"ls -A {shlex.quote(str(temp))} | grep . && exit 1; exit 0"]
    assert remote_run.run(place, points).error == ""


def test_a_temporary_directory_that_is_a_link_is_not_followed(place, points, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    Path(place["temp_dir"]).symlink_to(outside)
    assert remote_run.run(place, points).error
    assert (outside / "kept").exists()


def test_two_runs_never_overlap(place):
    with (
        remote_run.alone(place["state_dir"]),
        pytest.raises(remote_run.SyncError, match="in progress"),
        remote_run.alone(place["state_dir"], wait_s=0.3),
    ):
        pass
    with remote_run.alone(place["state_dir"], wait_s=0.3):
        pass


def test_clashes_are_reported_and_not_copied(place, points, tmp_path):
    source, target = Path(place["source"]), Path(place["target"])
    for path in ("W/dir-here", "W/same"):
        (source / path).mkdir(parents=True)
    (source / "W/dir-here/inner").write_text("x")
    (source / "W/file[1]*").write_text("x")
    (source / "W/plain").write_text("x")
    (source / "W/link").symlink_to("/nowhere")
    (target / "W/same").mkdir(parents=True)
    (target / "W/dir-here").write_text("a file")
    (target / "W/file[1]*").mkdir()
    (target / "W/plain").symlink_to("/etc/passwd")
    (target / "W/link").write_text("a file, and links are not copied")
    seen = tmp_path / "seen"
    place["rsync"] = ["sh", "-c", f"cat >{shlex.quote(str(seen))}"]
    record = remote_run.run(place, points)
    assert record.clashes == ["W/dir-here", "W/file[1]*", "W/plain"]
    assert "not copied" in record.error
    assert seen.read_bytes() == b"/W/dir-here\0/W/file\\[1]\\*\0/W/plain\0"


def test_rsyncs_lines_are_counted_by_kind():
    told = RunRecord()
    remote_run.note_items(
        told,
        "cd+++++++++ 4096 W/\n>f+++++++++ 5 W/a b.csv\n>f.st...... 7 W/\\#012x\n"
        'skipping non-regular file "W/link"\n.d..t...... 4096 W/\nsomething else\n',
    )
    assert (told.copied, told.copied_bytes) == (2, 12)
    assert told.items == ["W/a b.csv", "W/\\#012x"]
    assert told.skipped == ["W/link"]


def test_a_size_of_thousands_of_digits_is_not_counted():
    told = RunRecord()
    remote_run.note_items(told, f">f+++++++++ {'9' * 5000} W/a\n>f+++++++++ 5 W/b\n")
    assert (told.copied, told.copied_bytes, told.items) == (1, 5, ["W/b"])


def test_a_file_that_disappears_while_it_is_listed_is_not_a_clash(tmp_path, monkeypatch):
    (tmp_path / "kept").mkdir()
    listed = [(str(tmp_path), ["kept"], ["gone"])]
    monkeypatch.setattr(remote_survey.os, "walk", lambda *_, **__: iter(listed))
    found = remote_survey.Survey(str(tmp_path), str(tmp_path / "target"))
    assert (found.left_out, found.uncopied) == ([], [])


def test_a_deep_folder_is_left_out_and_named(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    folder = source
    source.mkdir()
    for _ in range(120):
        folder /= "d"
        folder.mkdir()
    deep = "d/" * 100 + "d"
    found = remote_survey.Survey(str(source), str(target))
    assert found.left_out == [deep]
    assert found.uncopied == [f"{source}/{deep}: more than 100 folders deep"]


@pytest.fixture
def unreadable(monkeypatch):
    """Make a path unreadable; the tests may run as root, who can read everything."""
    lstat, scandir = Path.lstat, os.scandir

    def deny(path, number):
        def hit(asked):
            if str(asked) == str(path):
                raise OSError(number, os.strerror(number), str(path))

        if path.is_dir():
            monkeypatch.setattr(os, "scandir", lambda asked: (hit(asked), scandir(asked))[1])
        else:
            monkeypatch.setattr(Path, "lstat", lambda self: (hit(self), lstat(self))[1])

    return deny


@pytest.mark.parametrize(
    ("side", "bad", "number", "left_out"),
    [
        ("source", "W/secret", errno.EACCES, "W/secret"),  # it cannot be listed
        ("source", "W/secret/in.csv", errno.EACCES, "W/secret"),  # it cannot be searched
        ("source", "W/secret/in.csv", errno.EIO, "W/secret/in.csv"),
        ("source", "top.csv", errno.EACCES, "top.csv"),
        ("target", "W/secret/in.csv", errno.EACCES, "W/secret"),
        ("target", "W/good.csv", errno.EIO, "W/good.csv"),
    ],
)
def test_one_bad_path_is_left_out_and_the_rest_is_copied(
    place, points, tmp_path, unreadable, side, bad, number, left_out
):
    source, seen = Path(place["source"]), tmp_path / "seen"
    (source / "W/secret").mkdir(parents=True)
    for name in ("W/secret/in.csv", "W/good.csv", "top.csv"):
        (source / name).write_text("x")
    unreadable(Path(place[side], bad), number)
    place["rsync"] = ["sh", "-c", f"cat >{shlex.quote(str(seen))}; echo '>f+++++++++ 12 a.csv'"]
    record = remote_run.run(place, points)
    assert seen.read_bytes() == f"/{left_out}\0".encode()
    assert record.copied == 1
    assert record.uncopied[0].endswith(f": {os.strerror(number)}")
    assert record.uncopied[0] in record.error
    assert "(copied: 1 files)" in record.error
    assert state_of(place)["last_success_at"] == 0.0


def test_rsyncs_words_about_single_files_are_shown_with_their_paths(place, points):
    said = (
        'rsync: [sender] send_files failed to open "/e/W/a b.csv": Permission denied (13)\n'
        'rsync: [receiver] rename "/srv/.t/W/.x.abc" -> "W/x": Permission denied (13)\n'
        'rsync: [sender] readlink_stat("/e/W/q\\"t") failed: Input/output error (5)\n'
        "rsync error: some files/attrs were not transferred (see previous errors) (code 23)"
    )
    told = ">f+++++++++ 5 W/x\\n>f+++++++++ 7 W/y"
    place["rsync"] = ["sh", "-c", f"printf '{told}'; echo {shlex.quote(said)} >&2; exit 23"]
    record = remote_run.run(place, points)
    assert (record.items, record.copied, record.copied_bytes) == (["W/y"], 1, 7)
    first, second, third = record.uncopied
    assert first == "/e/W/a b.csv: Permission denied"
    assert second == "W/x: Permission denied"
    assert third in said.split("\n")
    assert "Permission denied" in record.error


def test_a_message_names_only_the_first_paths():
    record = RunRecord(uncopied=[f"/e/{number}: Permission denied" for number in range(40)])
    remote_run.judge(record)
    assert "/e/4: " in record.error
    assert "/e/5: " not in record.error
    assert "and 35 more" in record.error


def test_a_source_that_cannot_be_listed_does_not_count_as_silent(place, points, monkeypatch):
    monkeypatch.setenv("PATH", f"{place['target']}:{os.environ['PATH']}")
    ls = Path(place["target"], "ls")
    ls.write_text("#!/bin/sh\necho \"ls: cannot open '$3': Permission denied\" >&2; exit 2\n")
    ls.chmod(0o755)
    assert remote_run.run(place, points).error.endswith("cannot be listed: Permission denied")


def test_others_cannot_read_the_record_of_a_run(place, points):
    remote_run.run(place, points)
    path = Path(place["state_dir"], "level3-sync.json")
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_client_knows_every_field_of_a_record():
    assert [f.name for f in fields(RunRecord)] == [f.name for f in fields(SyncRecord)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[]",
        '{"last": null}',
        '{"last": [1], "last_success_at": "x"}',
        '{"last": {"copied": "3", "items": null, "new_field": 1}}',
    ],
)
def test_an_invalid_record_counts_as_no_run(tmp_path, text):
    path = tmp_path / records.FILE
    path.write_text(text)
    assert records.read(path) == (RunRecord(), 0.0)


def test_a_record_keeps_only_the_first_names(tmp_path):
    path = tmp_path / records.FILE
    records.write(path, RunRecord(started_at=1.0, ended_at=2.0, items=["x"] * 1000, copied=1000))
    last, success_at = records.read(path)
    assert (len(last.items), last.copied, success_at) == (records.KEPT_NAMES, 1000, 2.0)


def as_the_timer_starts_it(place, points):
    """Run the whole installed script; only the mounts are fake."""
    text = script_text("opstasks.sync.onhost.run", place, "about")
    made_up = f"record = run(request, {json.dumps(points)})"
    text = text.replace("record = run(request, mounted())", made_up)
    path = Path(place["temp_dir"]).with_name("script")
    path.write_text(text)
    argv = [sys.executable, "-I", str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_the_installed_script_writes_the_copied_files_to_the_journal(place, points):
    done = as_the_timer_starts_it(place, points)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ok": {"copied": 1, "copied_bytes": 12}}
    assert done.stderr == "copied 'W/new.csv'\n"


def test_the_installed_script_fails_if_the_run_failed(place):
    done = as_the_timer_starts_it(place, ["/"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "is not mounted" in done.stderr
    assert "is not mounted" in state_of(place)["last"]["error"]


def test_the_installed_script_fails_when_it_cannot_write_its_record(place, points):
    """It has copied all the same, and says so."""
    Path(place["state_dir"], f"{records.FILE}.new").mkdir(parents=True)
    done = as_the_timer_starts_it(place, points)
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first == "copied 'W/new.csv'"
    assert second.startswith("error: copied 1 file, but its record cannot be written: is a dir")


def test_without_its_lock_a_run_copies_nothing_and_says_why(place, points):
    Path(place["state_dir"]).write_text("a file in its place")
    done = as_the_timer_starts_it(place, points)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: file exists: {place['state_dir']}; its record cannot be")


def test_a_full_disk_of_the_records_does_not_stop_the_copying(place, points, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(remote_run.records, "write", full)
    record = remote_run.run(place, points)
    assert (record.copied, record.items) == (1, ["W/new.csv"])
    assert record.error.startswith("copied 1 file, but its record cannot be written: no space left")
