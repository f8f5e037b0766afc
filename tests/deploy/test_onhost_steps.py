"""The host's side of a release: its steps, on real databases and checkouts."""

import errno
import os
import shutil
import sqlite3

import pytest

from opstasks.deploy.onhost import move, steps
from opstasks.deploy.onhost.checkout import head
from opstasks.deploy.onhost.database import version_and_schema
from opstasks.deploy.onhost.record import read_record, snapshot_path, write_record
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.deploy.deploy_help import MIGRATED, database, git, ids, record, write_job


def rollback_to_old_database(release, tmp_path):
    """A rollback from a database at version 2; the test chooses the steps that are done."""
    older = tmp_path / "older.sqlite"
    database(older, [("a", "running", "x")])
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")], extra=MIGRATED)
    return {**release, "kind": "rollback", "restore_from": str(older)}, source


@pytest.mark.parametrize("step", ["stopped", "moving"])
def test_a_resumed_rollback_keeps_newer_rows(release, tmp_path, step):
    spec, source = rollback_to_old_database(release, tmp_path)
    steps.begin(spec)
    write_record(spec, step=step)
    write_job(source, "new")
    steps.begin(spec)
    assert steps.switch(spec)["version"] == 1
    steps.finish(spec)
    assert ids(source) == ["a", "new"]
    assert ids(snapshot_path(spec)) == ["a", "new"]


def test_a_resumed_rollback_keeps_both_versions_of_the_database(release, tmp_path):
    spec, source = rollback_to_old_database(release, tmp_path)
    steps.begin(spec)
    steps.switch(spec)
    write_job(source, "new")
    steps.begin(spec)
    assert steps.switch(spec)["how"] == "database untouched"
    steps.finish(spec)
    assert ids(source) == ["a", "new"]
    assert version_and_schema(snapshot_path(spec))[0] == 2


@pytest.mark.parametrize("step", ["moving", "moved", "starting"])
def test_going_back_keeps_newer_rows(release, tmp_path, step):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    steps.begin(release)
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
    write_record(release, step=step)
    write_job(source, "new")
    how = steps.roll_back({**release, "reason": "its client disappeared"})["how"]
    assert "carried over" in how
    assert str(snapshot_path(release, ".failed.sqlite")) in how
    assert (ids(source), version_and_schema(source)[0]) == (["a", "new"], 1)


def test_an_undone_rollback_keeps_newer_rows(release, tmp_path):
    spec, source = rollback_to_old_database(release, tmp_path)
    steps.begin(spec)
    steps.switch(spec)
    write_job(source, "new")
    steps.roll_back({**spec, "reason": "its client disappeared"})
    assert (ids(source), version_and_schema(source)[0]) == (["a", "new"], 2)


def test_a_snapshot_with_lost_jobs_is_not_overwritten(release, tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x"), ("b", "running", "x")])
    steps.begin(release)
    with sqlite3.connect(source) as connection:
        connection.execute("DELETE FROM job WHERE id = 'b'")
    with pytest.raises(HostFailure, match="jobs were lost: b"):
        steps.begin(release)
    assert ids(snapshot_path(release)) == ["a", "b"]


def test_lost_jobs_are_restored_without_a_migration(release, tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x"), ("b", "running", "x")])
    steps.begin(release)
    with sqlite3.connect(source) as connection:
        connection.execute("DELETE FROM job WHERE id = 'b'")
    with pytest.raises(HostFailure, match="jobs were lost: b"):
        steps.finish(release)
    how = steps.roll_back({**release, "reason": "jobs were lost: b"})["how"]
    assert "restored from the snapshot" in how
    assert ids(source) == ["a", "b"]


def do(step, spec):
    """Run the program for one step."""
    umask = os.umask(0o022)
    try:
        return steps.main({"step": step, "spec": spec})
    finally:
        os.umask(umask)  # a host's program sets its own


@pytest.mark.parametrize("step", ["begin", "switch", "serve", "finish", "roll_back"])
def test_no_step_touches_a_release_that_has_ended(release, step):
    record(release, release["id"], outcome="deployed", step="done")
    with pytest.raises(HostRefusal, match="deployed already"):
        do(step, release)


def test_a_release_in_rollback_cannot_be_finished(release):
    record(release, release["id"], outcome="", step="moving", rolling_back=True)
    with pytest.raises(HostRefusal, match="is being rolled back"):
        do("begin", release)


def test_going_back_before_a_move_leaves_what_people_did_and_ends(release, tmp_path):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    steps.begin(release)
    git("commit", "-q", "--allow-empty", "-m", "by hand", cwd=tmp_path / "code")
    by_hand = git("rev-parse", "HEAD", cwd=tmp_path / "code")
    answer = do("roll_back", {**release, "reason": "x"})
    assert (answer["now"]["code"], answer["now"]["unfinished"]) == (by_hand, "")


@pytest.mark.parametrize(("step", "reached"), [("begin", "stopped"), ("roll_back", "moving")])
def test_a_checkout_moved_by_hand_is_not_touched(release, tmp_path, step, reached):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    steps.begin(release)
    write_record(release, step=reached)
    git("commit", "-q", "--allow-empty", "-m", "by hand", cwd=tmp_path / "code")
    by_hand = git("rev-parse", "HEAD", cwd=tmp_path / "code")
    with pytest.raises(HostRefusal, match="moved by hand"):
        do(step, {**release, "reason": "x"})
    assert head(str(tmp_path / "code")) == by_hand


def test_the_last_steps_answer_with_what_is_there(release, tmp_path):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    assert do("begin", release)["serves"] is False
    now = {"service": "stopped", "database_version": 1, "unfinished": release["id"]}
    now |= {name: release[f"from_{name}"] for name in ("code", "lib")}
    assert do("look", release)["now"] == now
    assert do("finish", release)["now"] == {**now, "unfinished": ""}
    assert do("look", release)["now"] == {**now, "unfinished": ""}


def test_no_release_begins_while_another_is_unfinished(release_spec):
    record(release_spec, "other", outcome="", step="stopped")
    with pytest.raises(HostRefusal, match="other is unfinished"):
        steps.begin(release_spec)


def test_a_full_disk_does_not_keep_the_service_down(release_spec, monkeypatch):
    """Records cannot be written, but the service is started."""
    record(release_spec, release_spec["id"], outcome="", step="begun", was_active=True)
    started = []

    def full(*args, **changes):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(steps, "write_record", full)
    monkeypatch.setattr(steps, "unit_state", lambda spec: {"ActiveState": "inactive"})
    monkeypatch.setattr(steps, "start_and_watch", lambda spec, known: started.append(1))
    with pytest.raises(OSError, match="No space"):
        steps.roll_back(release_spec)
    assert started == [1]


def test_a_file_that_cannot_be_removed_does_not_keep_the_service_down(
    release, tmp_path, monkeypatch
):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    steps.begin(release)

    def fails(*_):
        raise HostFailure("cannot read the checkout")

    monkeypatch.setattr(move, "brought", fails)
    assert steps.roll_back({**release, "reason": "x"})["how"] == "database untouched"


@pytest.mark.parametrize("typed", ["its client disappeared", "the migration failed: x", ""])
@pytest.mark.parametrize("writes", [True, False], ids=["", "full disk at first"])
def test_the_reason_of_a_release_that_failed_stays(release, tmp_path, monkeypatch, typed, writes):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    steps.begin(release)
    if writes:
        write_record(release, rolling_back=True, reason="the migration failed: x")
        steps.roll_back({**release, "reason": typed})
    else:
        real, calls = steps.write_record, []

        def full_at_first(spec, **changes):
            calls.append(changes)
            if len(calls) == 1:
                raise OSError(28, "No space left on device")
            return real(spec, **changes)

        monkeypatch.setattr(steps, "write_record", full_at_first)
        steps.roll_back({**release, "reason": "the migration failed: x"})
    assert read_record(release)["reason"] == "the migration failed: x"


def test_a_release_without_a_reason_gets_the_clients(release, tmp_path):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    steps.begin(release)
    steps.roll_back({**release, "reason": "its client disappeared"})
    assert read_record(release)["reason"] == "its client disappeared"


def test_a_look_tells_whether_the_copy_of_the_database_is_there(release, tmp_path):
    assert do("look", release)["has_snapshot"] is False
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    steps.begin(release)
    assert do("look", release)["has_snapshot"] is True


CAUSES = {
    errno.ENOSPC: ("full", "no space left on device"),
    errno.EROFS: ("read-only", "read-only file system"),
    errno.EIO: ("", "input/output error"),
}


@pytest.mark.parametrize("number", CAUSES)
def test_a_record_that_cannot_be_closed_has_its_cause(release, tmp_path, monkeypatch, number):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    steps.begin(release)

    def fails(*args, **changes):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(steps, "write_record", fails)
    answer = steps.finish(release)
    cause, text = CAUSES[number]
    assert answer["problem"].startswith(f"its record cannot be written: {text}")
    assert (answer["cause"], answer["now"]["service"]) == (cause, "stopped")


def test_a_folder_in_whose_place_is_a_file_is_the_cause(release, tmp_path):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    steps.begin(release)
    shutil.rmtree(tmp_path / "opstasks" / "releases")
    (tmp_path / "opstasks" / "releases").write_text("")
    assert steps.close(release)["cause"] == "no folder"
