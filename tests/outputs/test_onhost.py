"""outputs: the programs on the host, run on real trees."""

import errno
import fcntl
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opstasks.core.result import Result
from opstasks.onhost.protocol import HostFailure, HostRefusal
from opstasks.outputs.act import INSPECT
from opstasks.outputs.listing import FILES, WORKSPACES
from opstasks.outputs.onhost import files, inspect, remove, walk, workspaces
from opstasks.outputs.onhost.folders import open_folder
from opstasks.outputs.onhost.hold import UNFINISHED
from opstasks.outputs.onhost.records import RemovalRecord, record_from, write_record


def test_a_source_with_only_its_mount_folder_is_not_mounted(tmp_path, monkeypatch):
    drive = tmp_path / "e"
    drive.mkdir()
    monkeypatch.setattr(inspect, "mounted", lambda: ["/", str(drive)])
    assert not inspect.is_away(str(drive))
    assert not inspect.is_away("")
    assert inspect.is_away(str(drive / "none"))
    monkeypatch.setattr(inspect, "mounted", lambda: ["/"])
    assert inspect.is_away(str(drive))


def test_a_removal_that_was_interrupted_between_its_moves_is_finished(tree, monkeypatch):
    tree.put(tree.root / "W/a.csv", "x")
    facts = tree.facts("a.csv")
    unlink = os.unlink

    def power_cut(*args, **options):
        if "dir_fd" in options:  # the output itself, no file of ours
            raise KeyboardInterrupt
        unlink(*args)

    monkeypatch.setattr(os, "unlink", power_cut)
    with pytest.raises(KeyboardInterrupt):
        tree.remove("a.csv", facts=facts)
    monkeypatch.setattr(os, "unlink", unlink)
    assert tree.record().state == "removing"
    assert not (tree.root / "W/a.csv").exists()
    asked = tree.asked("W", "a.csv", {})
    asked["places"][0]["sha256"] = facts["sha256"]
    remove.main(asked)
    assert not (tree.top / "medium/.opstasks-removed").exists()
    assert tree.record().state == "removed"


def test_several_operators_who_saw_the_same_file_record_one_removal(tree):
    tree.put(tree.root / "W/a.csv", "x")
    facts = tree.facts("a.csv")
    answers = [tree.remove("a.csv", facts=facts, id=f"op{n}-1")["record"] for n in range(3)]
    assert [answer["id"] for answer in answers] == ["op0-1"] * 3
    assert tree.record().id == "op0-1"


def test_a_removal_that_somebody_left_unfinished_is_finished_under_its_name(tree):
    tree.put(tree.root / "W/a.csv", "x")
    facts = tree.facts("a.csv")
    record = replace(record_from(tree.asked("W", "a.csv", facts)["record"]), state="removing")
    write_record(str(tree.top / "records"), record)
    hold = tree.top / "medium/.opstasks-removed"
    hold.mkdir(mode=0o700)
    (tree.root / "W/a.csv").rename(hold / "abc-1")
    answer = tree.remove("a.csv", facts=facts, id="op2-1")["record"]
    assert (answer["id"], answer["state"]) == ("abc-1", "removed")
    assert tree.record().state == "removed"
    assert not hold.exists()


def test_an_interrupted_removal_is_finished_as_it_was_decided_at_last(tree):
    record = RemovalRecord("abc-1", "W", "a.csv", source="removed", source_sha256="ab")
    write_record(str(tree.top / "records"), record)
    asked = tree.asked("W", "a.csv", {})
    remove.main({**asked, "record": {**asked["record"], "source": "kept"}})
    assert (tree.record().state, tree.record().source) == ("removed", "kept")


def test_a_file_that_was_removed_by_hand_is_not_recorded_as_our_removal(tree):
    tree.put(tree.root / "W/a.csv", "x")
    facts = tree.facts("a.csv")
    # A removal of an earlier file with this name has nothing to do with it.
    old = RemovalRecord("old-1", "W", "a.csv", state="removed", started_at=0.1, removed_at=0.5)
    write_record(str(tree.top / "records"), old)
    (tree.root / "W/a.csv").unlink()
    with pytest.raises(HostFailure, match="no record says by whom") as failure:
        asked = tree.asked("W", "a.csv", facts)
        asked["record"]["partner_path"] = "D:\\W\\a.csv"
        remove.main(asked)
    assert "D:\\W\\a.csv" in failure.value.detail
    assert tree.record() == old
    (tree.top / "records/x-1.json").write_text("")
    with pytest.raises(HostFailure, match="whom; the record of x-1 cannot be read: it is not"):
        remove.main(asked)


def test_a_file_whose_absence_cannot_be_proven_is_not_counted_as_removed(tree):
    tree.put(tree.root / "W/a.csv", "x")
    facts = tree.facts("a.csv")
    (tree.root / "W").rename(tree.root / "real")
    (tree.root / "W").symlink_to("real")
    with pytest.raises(HostFailure, match="is a link"):
        tree.remove("a.csv", facts=facts)
    assert tree.record().state == "failed"


def test_another_file_in_the_hold_is_not_removed(tree):
    tree.put(tree.root / "W/a.csv", "x")
    hold = tree.top / "medium/.opstasks-removed"
    hold.mkdir(mode=0o700)
    (hold / "abc-1").write_text("somebody's")
    with pytest.raises(HostFailure, match="inspect it"):
        tree.remove("a.csv")
    assert (hold / "abc-1").read_text() == "somebody's"
    assert (tree.root / "W/a.csv").exists()


@pytest.fixture
def places(tree):
    """A file here and at the sync's source, and what is asked for to remove both."""
    source = tree.top / "e/workspaces"
    tree.put(source / "W/a.csv", "from windows")
    tree.put(tree.root / "W/a.csv", "here")
    facts = tree.facts("a.csv", root=source)
    there = {"what": SOURCE, "root": str(source), "identity": facts, "sha256": facts["sha256"]}
    here = tree.asked("W", "a.csv", tree.facts("a.csv"))["places"][0]
    return [{**there, "hold": str(source / ".opstasks-removed")}, here]


SOURCE = "the copy at the sync's source"


def there_is(places):
    """Whether the file exists, at each place."""
    return [Path(place["root"], "W/a.csv").exists() for place in places]


@pytest.mark.parametrize(("which", "prefix"), [(0, f"{SOURCE}: "), (1, "")])
def test_a_copy_that_changed_since_it_was_shown_keeps_all_copies(tree, places, which, prefix):
    tree.put(Path(places[which]["root"], "W/a.csv"), "changed meanwhile")
    with pytest.raises(HostFailure) as failure:
        tree.remove("a.csv", places=places)
    assert there_is(places) == [True, True]
    assert failure.value.reason.startswith(f"{prefix}changed since it was shown: ")
    assert not any(list(Path(place["hold"]).glob("*")) for place in places)
    record = tree.record()
    assert (record.state, record.error) == ("failed", failure.value.reason)
    places[which]["identity"] = tree.facts("a.csv", root=places[which]["root"])
    tree.remove("a.csv", places=places, id="abc-2")
    assert there_is(places) == [False, False]


def test_a_copy_that_cannot_be_put_back_keeps_the_removal_open(tree, places, monkeypatch):
    tree.put(tree.root / "W/a.csv", "changed meanwhile")
    rename = os.rename

    def write_again(*args, **options):
        rename(*args, **options)
        Path(places[0]["root"], "W/a.csv").write_text("newer")

    monkeypatch.setattr(os, "rename", write_again)
    with pytest.raises(HostFailure, match=f"{SOURCE}: another file now has its name"):
        tree.remove("a.csv", places=places)
    assert there_is(places) == [True, True]
    assert Path(places[0]["hold"], "abc-1").read_text() == "from windows"
    assert tree.record().state == "removing"


def test_a_removal_that_ends_between_two_copies_is_not_called_failed(tree, places, monkeypatch):
    unlink, calls = os.unlink, []

    def fail_at_the_second(*args, **options):
        calls.append(options)
        if "dir_fd" in options and sum("dir_fd" in each for each in calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        unlink(*args, **options)

    monkeypatch.setattr(os, "unlink", fail_at_the_second)
    with pytest.raises(HostFailure, match=f"{SOURCE} was removed; the file is held in ") as failure:
        tree.remove("a.csv", places=places)
    monkeypatch.setattr(os, "unlink", unlink)
    assert failure.value.cause == UNFINISHED
    record = tree.record()
    assert (record.state, record.error) == ("removing", failure.value.reason)
    # The same file was written again: its removal goes on under the same name.
    tree.put(tree.root / "W/a.csv", "again")
    monkeypatch.setattr(remove, "LOCK_WAIT_S", 0.0)
    with (tree.top / "sync.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(HostFailure, match="sync is running"):
            tree.remove("a.csv", places=places, sync_lock=lock.name)
    assert tree.record().state == "removing"
    places[0]["identity"], places[1]["identity"] = {}, tree.facts("a.csv")
    tree.remove("a.csv", places=places)
    assert (there_is(places), tree.record().state) == ([False, False], "removed")
    assert tree.record().sha256 == places[1]["identity"]["sha256"] != places[1]["sha256"]


def test_a_removal_waits_for_the_sync_and_gives_up_in_time(tree, monkeypatch):
    monkeypatch.setattr(remove, "LOCK_WAIT_S", 0.3)
    tree.put(tree.root / "W/a.csv", "x")
    lock = tree.top / "sync.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(HostFailure, match="sync is running"):
            tree.remove("a.csv", sync_lock=str(lock))
    assert (tree.root / "W/a.csv").exists()
    tree.remove("a.csv", sync_lock=str(lock))


def test_a_full_disk_keeps_the_file_and_says_that_nothing_was_removed(tree, monkeypatch):
    tree.put(tree.root / "W/a.csv", "x")

    def no_room(folder, record):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remove, "write_record", no_room)
    with pytest.raises(HostRefusal, match="cannot record the removal: no space left"):
        tree.remove("a.csv")
    assert (tree.root / "W/a.csv").exists()


def test_a_removal_that_cannot_be_recorded_at_its_end_says_so(tree, monkeypatch):
    tree.put(tree.root / "W/a.csv", "x")
    real = remove.write_record

    def no_room_at_the_end(folder, record):
        if record.state == "removed":
            raise OSError(28, "No space left on device")
        real(folder, record)

    monkeypatch.setattr(remove, "write_record", no_room_at_the_end)
    with pytest.raises(HostFailure, match="removed, but this could not be recorded"):
        tree.remove("a.csv")
    assert tree.record().state == "removing"


# -- listing ---------------------------------------------------------------------------------


def listed(tree, workspace="W"):
    return files.main({"root": str(tree.root), "workspace": workspace})


def decoded(program, answer):
    """A program's answer as the client decodes it."""
    return program.decode(Result("", 0, json.dumps({"ok": answer}), ""), "h")


def test_a_listing_follows_no_link(tree):
    tree.put(tree.root / "W/out/a.csv", "four")
    (tree.root / "W/out/link").symlink_to(tree.high)
    (tree.root / "W/folder").symlink_to(tree.high)
    assert [(e["path"], e["kind"]) for e in listed(tree)["files"]] == [
        ("folder", "link"),
        ("out/a.csv", "file"),
        ("out/link", "link"),
    ]
    (tree.root / "X").symlink_to(tree.high)
    assert "link" in decoded(FILES, listed(tree, "X")).error
    found = workspaces.main({"root": str(tree.root)})["workspaces"]
    assert [workspace["name"] for workspace in found] == ["V", "W"]


def test_a_workspace_has_its_count_size_and_time(tree):
    tree.put(tree.root / "W/out/a.csv", "four")
    tree.put(tree.root / "W/b.csv", "seven..")
    os.utime(tree.root / "W/b.csv", (2e9, 2e9))
    _, found = decoded(WORKSPACES, workspaces.main({"root": str(tree.root)})).workspaces
    assert (found.name, found.files, found.size_bytes, found.newest_at) == ("W", 2, 11, 2e9)


@pytest.fixture
def closed(tree, monkeypatch):
    """A workspace with a folder that cannot be opened, and one that cannot be listed."""
    for name in ("a.csv", "shut/b.csv", "blind/c.csv", "open/d.csv"):
        tree.put(tree.root / "W" / name, "four")

    def open_or_fail(name, above):
        fd = open_folder(name, above)
        if name in ("shut", "Z"):
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return os.open("/proc/self/mem", os.O_RDONLY) if name == "blind" else fd

    for module in (walk, files, workspaces):
        monkeypatch.setattr(module, "open_folder", open_or_fail)
    return tree


UNREADABLE = [("blind", "not a directory"), ("shut", "permission denied")]


def test_what_cannot_be_read_is_named_and_the_rest_is_listed(closed):
    found = decoded(FILES, listed(closed))
    assert [file.path for file in found.files] == ["a.csv", "open/d.csv"]
    assert [(bad.path, bad.error) for bad in found.unreadable] == UNREADABLE
    _, found = decoded(WORKSPACES, workspaces.main({"root": str(closed.root)})).workspaces
    assert (found.files, found.size_bytes) == (2, 8)
    assert [(bad.path, bad.error) for bad in found.unreadable] == UNREADABLE


def test_a_deep_folder_is_named_and_hides_no_other_file_and_no_workspace(tree):
    folder = tree.root / "W"
    for _ in range(120):
        folder /= "d"
        folder.mkdir()
    tree.put(folder / "x.csv", "x")
    tree.put(tree.root / "W/d/a.csv", "four")
    found = decoded(FILES, listed(tree))
    assert [file.path for file in found.files] == ["d/a.csv"]
    (bad,) = found.unreadable
    assert (bad.path, bad.error) == ("d/" * 100 + "d", "more than 100 folders deep")
    other, found = decoded(WORKSPACES, workspaces.main({"root": str(tree.root)})).workspaces
    assert (other.name, other.files, found.files, len(found.unreadable)) == ("V", 1, 1, 1)


def test_a_workspace_that_cannot_be_opened_has_a_reason(closed):
    (closed.root / "Z").mkdir()
    assert decoded(FILES, listed(closed, "Z")).error == "permission denied"
    *_, found = decoded(WORKSPACES, workspaces.main({"root": str(closed.root)})).workspaces
    assert (found.name, found.error) == ("Z", "permission denied")


def test_any_file_name_reaches_the_client(tree):
    name = os.fsdecode(b"\xff\n'")
    tree.put(tree.root / "W" / name, "x")
    (file,) = decoded(FILES, listed(tree)).files
    assert os.fsencode(file.path) == b"\xff\n'"
    request = {"root": str(tree.root), "source": "", "workspace": "W", "files": [name]}
    (found,) = decoded(INSPECT, inspect.main(request)).files
    assert (found.path, found.here.facts.size_bytes) == (name, 1)


def test_an_unknown_workspace_is_answered_with_those_that_exist(tree):
    found = listed(tree, "nowhere")
    assert (found["files"], found["workspaces"]) == ([], ["V", "W"])


def test_a_missing_root_is_refused(tree):
    missing = str(tree.top / "missing")
    for program in (files, workspaces):
        with pytest.raises(HostRefusal, match="does not exist"):
            program.main({"root": missing, "workspace": "W"})


def test_a_workspace_with_too_many_files_is_refused(tree, monkeypatch):
    monkeypatch.setattr(files, "LIMIT", 2)
    for number in range(3):
        tree.put(tree.root / f"W/{number}", "x")
    with pytest.raises(HostRefusal, match="more than 2 files"):
        listed(tree)


@pytest.mark.parametrize("year", [1905, 2300, 2440])
def test_a_file_of_any_year_is_inspected(tree, year):
    place = tree.root / "W/a.csv"
    tree.put(place, "x")
    at = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    os.utime(place, (at, at))
    request = {"root": str(tree.root), "source": "", "workspace": "W", "files": ["a.csv"]}
    (file,) = decoded(INSPECT, inspect.main(request)).files
    assert file.here.facts.mtime_ns == place.stat().st_mtime_ns


def test_files_are_inspected_here_and_at_the_source(tree):
    tree.put(tree.root / "W/a.csv", "here")
    tree.put(tree.outside / "W/a.csv", "there")
    (tree.root / "W/link").symlink_to(tree.high)
    request = {
        "root": str(tree.root),
        "source": str(tree.outside),
        "workspace": "W",
        "files": ["a.csv", "absent", "link"],
    }
    file, absent, link = decoded(INSPECT, inspect.main(request)).files
    assert (file.here.facts.size_bytes, file.source.facts.size_bytes) == (4, 5)
    assert (absent.here.facts, absent.here.error, absent.source.facts) == (None, "", None)
    assert "not a regular file" in link.here.error
