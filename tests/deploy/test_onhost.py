"""The host's side of a release, on real databases and real git checkouts, without a service."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from opstasks.deploy.onhost import database as remote_database
from opstasks.deploy.onhost import record as remote_record
from opstasks.deploy.onhost import service as remote_service
from opstasks.deploy.onhost import steps as remote_steps
from opstasks.deploy.onhost.database import (
    bring_older,
    copy_database,
    restore_database,
    version_and_schema,
)
from opstasks.deploy.onhost.record import record_path, snapshot_path, write_record
from opstasks.onhost.commands import StepError

OLD = "CREATE TABLE job (id TEXT PRIMARY KEY, state TEXT, note TEXT)"


def database(path, rows, version=1, extra=""):
    with sqlite3.connect(path) as connection:
        connection.execute(OLD)
        connection.executemany("INSERT INTO job VALUES (?, ?, ?)", rows)
        connection.execute(f"PRAGMA user_version = {version}")
        if extra:
            connection.executescript(extra)
    connection.close()
    return path


def rows(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT id, state, note FROM job ORDER BY id").fetchall()


@pytest.fixture
def spec(tmp_path):
    return {
        "id": "20240101T000000-abc",
        "kind": "deploy",
        "state_dir": str(tmp_path / "opstasks"),
        "code": str(tmp_path / "code"),
        "lib": str(tmp_path / "lib"),
        "config_dir": str(tmp_path),
        "database": str(tmp_path / "db.sqlite"),
        "unit": "jobrunner",
        "keep_snapshots": 2,
        "restore_from": "",
        "reason": "",
    }


MIGRATED = "ALTER TABLE job ADD COLUMN extra TEXT; PRAGMA user_version = 2;"


def test_a_copy_is_complete_private_and_leaves_no_rubbish(tmp_path):
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
    with pytest.raises((StepError, sqlite3.Error)):
        copy_database(source, tmp_path / "copy.sqlite")
    assert not (tmp_path / "copy.sqlite").exists()


def test_a_database_that_no_migration_touched_stays(spec, tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(spec))
    with sqlite3.connect(source) as connection:
        connection.execute("UPDATE job SET state = 'succeeded'")
    aside = snapshot_path(spec, ".failed.sqlite")
    how = restore_database(spec, snapshot_path(spec), aside)
    assert how == "database untouched"
    assert rows(source) == [("a", "succeeded", "x")]


@pytest.fixture
def readable(monkeypatch):
    """The old code reads whatever is carried over."""
    monkeypatch.setattr(remote_database, "old_code_reads", lambda spec, folder: True)


def test_a_migrated_database_goes_back_and_is_kept_aside(spec, tmp_path, readable):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(spec))
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
    aside = snapshot_path(spec, ".failed.sqlite")
    restore_database(spec, snapshot_path(spec), aside)
    assert version_and_schema(source) == version_and_schema(snapshot_path(spec))
    assert version_and_schema(aside)[0] == 2
    assert rows(source) == [("a", "running", "x")]


def test_rows_written_since_are_carried_over(spec, tmp_path, readable):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x"), ("b", "pending", "y")])
    copy_database(source, snapshot_path(spec))
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
        connection.execute("UPDATE job SET state = 'succeeded', extra = 'e' WHERE id = 'a'")
        connection.execute("INSERT INTO job VALUES ('c', 'running', 'z', 'e')")
    aside = snapshot_path(spec, ".failed.sqlite")
    how = restore_database(spec, snapshot_path(spec), aside)
    assert "carried over" in how
    assert str(aside) in how
    assert rows(source) == [("a", "succeeded", "x"), ("b", "pending", "y"), ("c", "running", "z")]


def test_jobs_that_a_release_lost_come_back_and_those_added_since_stay(spec, tmp_path, readable):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x"), ("b", "running", "y")])
    copy_database(source, snapshot_path(spec))
    with sqlite3.connect(source) as connection:
        connection.execute("DELETE FROM job WHERE id = 'b'")
        connection.execute("UPDATE job SET state = 'succeeded'")
        connection.execute("INSERT INTO job VALUES ('c', 'pending', 'z')")
    aside = snapshot_path(spec, ".failed.sqlite")
    how = restore_database(spec, snapshot_path(spec), aside)
    assert "carried over" in how
    assert rows(source) == [("a", "succeeded", "x"), ("b", "running", "y"), ("c", "pending", "z")]
    assert ids(aside) == ["a", "c"]
    assert restore_database(spec, snapshot_path(spec), aside) == "database untouched"


def test_rows_that_the_old_code_cannot_read_stay_aside(spec, tmp_path, monkeypatch):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(spec))
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
        connection.execute("UPDATE job SET state = 'a state of tomorrow'")
    monkeypatch.setattr(remote_database, "old_code_reads", lambda spec, folder: False)
    aside = snapshot_path(spec, ".failed.sqlite")
    how = restore_database(spec, snapshot_path(spec), aside)
    assert str(aside) in how
    assert rows(source) == [("a", "running", "x")]
    assert rows(aside) == [("a", "a state of tomorrow", "x")]


def test_an_explicit_rollback_never_drops_rows(spec, tmp_path, monkeypatch):
    spec["kind"] = "rollback"
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    old = tmp_path / "old.sqlite"
    copy_database(source, old)
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
    copy_database(source, snapshot_path(spec))
    monkeypatch.setattr(remote_database, "old_code_reads", lambda spec, folder: False)
    with pytest.raises(StepError, match="cannot read"):
        bring_older(spec, old, snapshot_path(spec))
    assert version_and_schema(source)[0] == 2


# -- what a service wrote between two runs ---------------------------------------------------


@pytest.fixture
def host(spec, tmp_path, monkeypatch, readable):
    """A release of two checkouts that are where they should be, and a service that is stubbed."""
    for name in ("code", "lib"):
        path = tmp_path / name
        path.mkdir()
        git("init", "-q", cwd=path)
        for commit in ("from", "to"):
            git("commit", "-q", "--allow-empty", "-m", commit, cwd=path)
            spec[f"{commit}_{name}"] = git("rev-parse", "HEAD", cwd=path)
        git("checkout", "-q", "--detach", "HEAD~", cwd=path)
    monkeypatch.setattr(remote_steps, "stop", lambda spec: None)
    monkeypatch.setattr(remote_steps, "job_containers", list)
    monkeypatch.setattr(remote_steps, "exceptions_now", lambda spec: [])
    monkeypatch.setattr(remote_steps, "unit_state", lambda spec: {"ActiveState": "inactive"})
    ends = {f"{end}_{what}" for end in ("from", "to") for what in ("code", "lib", "name")}
    return {**spec, "from_name": "v1", "to_name": "v2", "keep": ("id", "kind", *ends)}


def write_job(path, id):
    """What a service does that somebody started."""
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO job (id, state) VALUES (?, 'pending')", (id,))


def cut_off_rollback(host, tmp_path):
    """The database at version 2 and its older one; the steps done are those of its caller."""
    older = tmp_path / "older.sqlite"
    database(older, [("a", "running", "x")])
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")], extra=MIGRATED)
    return {**host, "kind": "rollback", "restore_from": str(older)}, source


def ids(path):
    return [row[0] for row in rows(path)]


@pytest.mark.parametrize("step", ["stopped", "moving"])
def test_a_rollback_that_goes_on_keeps_what_was_written_in_between(host, tmp_path, step):
    spec, source = cut_off_rollback(host, tmp_path)
    remote_steps.begin(spec)
    write_record(spec, step=step)
    write_job(source, "new")
    remote_steps.begin(spec)
    assert remote_steps.switch(spec)["version"] == 1
    remote_steps.finish(spec)
    assert ids(source) == ["a", "new"]
    assert ids(snapshot_path(spec)) == ["a", "new"]


def test_a_rollback_that_had_put_the_database_back_keeps_both_ages(host, tmp_path):
    spec, source = cut_off_rollback(host, tmp_path)
    remote_steps.begin(spec)
    remote_steps.switch(spec)
    write_job(source, "new")
    remote_steps.begin(spec)
    assert remote_steps.switch(spec)["how"] == "database untouched"
    remote_steps.finish(spec)
    assert ids(source) == ["a", "new"]
    assert version_and_schema(snapshot_path(spec))[0] == 2


@pytest.mark.parametrize("step", ["moving", "moved", "starting"])
def test_going_back_keeps_what_was_written_in_between(host, tmp_path, step):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    remote_steps.begin(host)
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
    write_record(host, step=step)
    write_job(source, "new")
    how = remote_steps.roll_back({**host, "reason": "its client went away"})["how"]
    assert "carried over" in how
    assert str(snapshot_path(host, ".failed.sqlite")) in how
    assert (ids(source), version_and_schema(source)[0]) == (["a", "new"], 1)


def test_an_undone_rollback_keeps_what_was_written_in_between(host, tmp_path):
    spec, source = cut_off_rollback(host, tmp_path)
    remote_steps.begin(spec)
    remote_steps.switch(spec)
    write_job(source, "new")
    remote_steps.roll_back({**spec, "reason": "its client went away"})
    assert (ids(source), version_and_schema(source)[0]) == (["a", "new"], 2)


def test_jobs_that_the_database_lost_keep_their_snapshot(host, tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x"), ("b", "running", "x")])
    remote_steps.begin(host)
    with sqlite3.connect(source) as connection:
        connection.execute("DELETE FROM job WHERE id = 'b'")
    with pytest.raises(StepError, match="jobs were lost: b"):
        remote_steps.begin(host)
    assert ids(snapshot_path(host)) == ["a", "b"]


def test_a_release_without_a_migration_that_loses_jobs_goes_back_with_them(host, tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x"), ("b", "running", "x")])
    remote_steps.begin(host)
    with sqlite3.connect(source) as connection:
        connection.execute("DELETE FROM job WHERE id = 'b'")
    with pytest.raises(StepError, match="jobs were lost: b"):
        remote_steps.finish(host)
    how = remote_steps.roll_back({**host, "reason": "jobs were lost: b"})["how"]
    assert "restored from the snapshot" in how
    assert ids(source) == ["a", "b"]


def test_what_was_kept_aside_before_is_never_overwritten(spec, tmp_path, readable):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(spec))
    aside = snapshot_path(spec, ".failed.sqlite")
    aside.write_text("what is left of an attempt before")
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
    restore_database(spec, snapshot_path(spec), aside)
    assert aside.read_text() == "what is left of an attempt before"
    assert version_and_schema(aside.with_name(f"{spec['id']}.failed-2.sqlite"))[0] == 2


# -- what someone else did between the look and the lock ---------------------------------------


def answer(step, spec, capsys):
    umask = os.umask(0o022)
    try:
        remote_steps.main(json.dumps({"step": step, "spec": spec}))
    finally:
        os.umask(umask)  # a host's program sets its own
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("step", ["begin", "switch", "serve", "finish", "roll_back"])
def test_no_step_touches_a_release_that_has_come_to_its_end(host, step, capsys):
    record(host, host["id"], outcome="deployed", step="done")
    told = answer(step, host, capsys)
    assert (told["ok"], told["refused"]) == (False, True)
    assert "deployed already" in told["reason"]


def test_a_release_on_its_way_back_does_not_go_forward(host, capsys):
    record(host, host["id"], outcome="", step="moving", rolling_back=True)
    assert "on its way back" in answer("begin", host, capsys)["reason"]


@pytest.mark.parametrize("step", ["begin", "roll_back"])
def test_a_checkout_that_somebody_moved_is_left_alone(host, tmp_path, step, capsys):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    remote_steps.begin(host)
    git("commit", "-q", "--allow-empty", "-m", "by hand", cwd=tmp_path / "code")
    by_hand = git("rev-parse", "HEAD", cwd=tmp_path / "code")
    told = answer(step, {**host, "reason": "x"}, capsys)
    assert told["refused"]
    assert "moved by hand" in told["reason"]
    assert remote_record.head(str(tmp_path / "code")) == by_hand


# -- a database that cannot be used ----------------------------------------------------------


def test_a_locked_database_stays_where_it_is(spec, tmp_path, monkeypatch):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(spec))
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: connect(*a, **{**o, "timeout": 0.1}))
    aside = snapshot_path(spec, ".failed.sqlite")
    with connect(source) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StepError, match="locked"):
            restore_database(spec, snapshot_path(spec), aside)
    holder.close()
    assert ids(source) == ["a"]
    assert not aside.exists()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), sqlite3.OperationalError("disk is full")]
)
@pytest.mark.parametrize("copies", [0, 1])
def test_a_full_disk_leaves_the_database_where_it_is(spec, tmp_path, monkeypatch, error, copies):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(spec))
    with sqlite3.connect(source) as connection:
        connection.executescript(MIGRATED)
    room = [copy_database] * copies

    def copy(old, new):
        if not room:
            raise error
        room.pop()(old, new)

    monkeypatch.setattr(remote_database, "copy_database", copy)
    with pytest.raises(StepError, match="cannot put the database back"):
        restore_database(spec, snapshot_path(spec), snapshot_path(spec, ".failed.sqlite"))
    assert version_and_schema(source)[0] == 2
    assert [path.name for path in snapshot_path(spec).parent.iterdir()] == [f"{spec['id']}.sqlite"]


def test_a_snapshot_that_is_missing_does_not_make_the_database_a_damaged_one(spec, tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    with pytest.raises(StepError, match="cannot put the database back"):
        restore_database(spec, snapshot_path(spec), snapshot_path(spec, ".failed.sqlite"))
    assert ids(source) == ["a"]


def test_a_database_that_is_no_database_is_damaged(spec, tmp_path):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    copy_database(source, snapshot_path(spec))
    source.write_text("no database at all " * 500)
    how = restore_database(spec, snapshot_path(spec), snapshot_path(spec, ".failed.sqlite"))
    assert "damaged" in how
    assert ids(source) == ["a"]


# -- records ---------------------------------------------------------------------------------


def snapshots(spec, *names):
    """Make snapshots, each a second younger than the one before."""
    folder = snapshot_path(spec).parent
    folder.mkdir(parents=True, exist_ok=True)
    for age, name in enumerate(names):
        (folder / name).write_text("")
        os.utime(folder / name, (age, age))
    return folder


def record(spec, id, **values):
    path = record_path({**spec, "id": id})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"id": id, **values}))


def test_the_newest_snapshots_are_kept_with_what_was_kept_aside(spec):
    folder = snapshots(
        spec, "1.sqlite", "1.failed.sqlite", "2.sqlite", "3.sqlite", "3.failed.sqlite"
    )
    assert remote_steps.prune(spec) == ["1"]
    assert sorted(p.name for p in folder.iterdir()) == ["2.sqlite", "3.failed.sqlite", "3.sqlite"]


def test_failed_attempts_do_not_take_away_what_a_rollback_needs(spec):
    folder = snapshots(spec, "good.sqlite", "a.sqlite", "b.sqlite", "c.sqlite")
    record(spec, "good", outcome="deployed", started=1)
    for age, id in enumerate("abc"):
        record(spec, id, outcome="rolled back", started=10 + age)
    assert remote_steps.prune(spec) == ["a"]
    assert (folder / "good.sqlite").exists()


def test_age_is_the_hosts_and_not_that_of_the_operators_clock(spec):
    snapshots(spec, "2099.sqlite", "2024.sqlite", "2025.sqlite")
    for started, id in enumerate(("2099", "2024", "2025")):
        record(spec, id, outcome="deployed", started=started)
    assert remote_steps.prune(spec) == ["2099"]


def test_a_release_never_prunes_its_own_snapshot_nor_an_unfinished_ones(spec):
    snapshots(spec, f"{spec['id']}.sqlite", "cut.sqlite", "x.sqlite", "y.sqlite")
    record(spec, "cut", outcome="", started=1)
    assert remote_steps.prune(spec) == []


def test_no_release_begins_on_top_of_an_unfinished_one(spec):
    record(spec, "other", outcome="", step="stopped")
    with pytest.raises(StepError, match="other is unfinished"):
        remote_steps.begin(spec)


def test_a_database_that_is_damaged_is_moved_aside_and_the_snapshot_put_back(spec, tmp_path):
    source = database(tmp_path / "db.sqlite", [(str(n), "x", "y" * 900) for n in range(200)])
    copy_database(source, snapshot_path(spec))
    damaged = bytearray(source.read_bytes())
    damaged[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    source.write_bytes(damaged)
    aside = snapshot_path(spec, ".failed.sqlite")
    how = restore_database(spec, snapshot_path(spec), aside)
    assert "damaged" in how
    assert aside.read_bytes() == bytes(damaged)
    assert len(rows(source)) == 200


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_what_a_killed_migration_left_is_settled_before_the_way_back(
    spec, tmp_path, readable, mode
):
    source = database(tmp_path / "db.sqlite", [("a", "running", "x")])
    with sqlite3.connect(source) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    copy_database(source, snapshot_path(spec))
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
    aside = snapshot_path(spec, ".failed.sqlite")
    restore_database(spec, snapshot_path(spec), aside)
    assert rows(source) == [("a", "running", "x")]


def test_a_full_disk_does_not_keep_the_service_down(spec, monkeypatch):
    """Records cannot be written; the service is started all the same."""
    record(spec, spec["id"], outcome="", step="begun", was_active=True)
    started = []

    def full(*args, **changes):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remote_steps, "write_record", full)
    monkeypatch.setattr(remote_steps, "unit_state", lambda spec: {"ActiveState": "inactive"})
    monkeypatch.setattr(remote_steps, "start_and_watch", lambda spec, known: started.append(1))
    with pytest.raises(OSError, match="No space"):
        remote_steps.roll_back(spec)
    assert started == [1]


def test_a_service_between_two_crashes_is_meant_to_be_up():
    assert remote_service.is_wanted({"ActiveState": "activating", "SubState": "auto-restart"})
    assert not remote_service.is_wanted({"ActiveState": "failed"})


def test_tracebacks_are_named_by_their_exception():
    log = [
        "2024 run started",
        "Traceback (most recent call last):",
        '  File "x", line 1',
        "    boom()",
        "requests.exceptions.ConnectionError: no",
        "Traceback (most recent call last):",
        '  File "y"',
        "KeyError: 'x'",
    ]
    assert remote_service.exceptions(log) == {"requests.exceptions.ConnectionError", "KeyError"}
    assert remote_service.exceptions(["no such thing"]) == set()


def test_a_log_without_the_started_line_is_not_healthy(spec):
    with pytest.raises(StepError, match="did not log"):
        remote_service.judge_log(spec, ["something"], set())


def test_a_traceback_counts_unless_the_release_before_had_it_too(spec):
    log = ["jobrunner.service started", "Traceback (most recent call last):", " x", "KeyError: 1"]
    with pytest.raises(StepError, match="KeyError"):
        remote_service.judge_log(spec, log, set())
    assert remote_service.judge_log(spec, log, {"KeyError"}) == {"as_before": ["KeyError"]}


def git(*args, cwd):
    done = subprocess.run(
        ["git", "-c", "user.email=a@example.org", "-c", "user.name=A", *args],
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_a_checkout_that_was_cut_off_is_finished(tmp_path):
    git("init", "-q", cwd=tmp_path)
    commits = []
    for text in ("one", "two"):
        (tmp_path / "file").write_text(text)
        git("add", ".", cwd=tmp_path)
        git("commit", "-qm", text, cwd=tmp_path)
        commits.append(git("rev-parse", "HEAD", cwd=tmp_path))
    (tmp_path / ".git" / "index.lock").write_text("")
    (tmp_path / "file").write_text("half-")
    remote_steps.move(str(tmp_path), commits[0])
    assert (tmp_path / "file").read_text() == "one"
    assert remote_record.head(str(tmp_path)) == commits[0]
    remote_steps.move(str(tmp_path), commits[0])


def commit_files(tree, **files):
    """Commit a tree of these files (a path as the text: a link to it); the commit."""
    for old in git("ls-files", cwd=tree).splitlines():
        (tree / old).unlink()
    for name, text in files.items():
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, str):
            place.write_text(text)
        else:
            place.symlink_to(text)
    git("add", "--all", "--force", ".", cwd=tree)
    git("commit", "-qm", "files", cwd=tree)
    return git("rev-parse", "HEAD", cwd=tree)


def test_going_back_takes_away_what_a_checkout_that_was_cut_off_had_brought(host, tmp_path):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    code, outside = tmp_path / "code", tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("not ours")
    old = {".gitignore": "*.env\n", "old.py": "1\n" * 9, "file": "x", "swap": outside}
    new = {
        **{".gitignore": "*.env\n", "moved.py": "1\n" * 9, "file/inner": "x", "swap/f": "x"},
        **{"local.env": "theirs", "new/deep/a.py": "x", "new/link": outside, "zz": "cut off here"},
    }
    from_code, to_code = commit_files(code, **old), commit_files(code, **new)
    git("checkout", "-q", "--detach", from_code, cwd=code)
    (code / "local.env").write_text("was there before")
    spec = {**host, "from_code": from_code, "to_code": to_code}
    remote_steps.begin(spec)
    write_record(spec, step="moving")
    # git itself is killed when it comes to the last file.
    (code / ".git" / "info" / "attributes").write_text("zz filter=cut\n")
    git("config", "filter.cut.smudge", "kill -9 $PPID", cwd=code)
    with pytest.raises(subprocess.CalledProcessError):
        git("checkout", "-q", "--detach", to_code, cwd=code)
    assert (code / "new" / "deep" / "a.py").exists()
    (code / "notes.txt").write_text("by hand")
    (code / "local.env").write_text("was there before")
    remote_steps.roll_back({**spec, "reason": "its client went away"})
    assert git("status", "--porcelain", cwd=code) == "?? notes.txt"
    there = {path.name for path in code.iterdir()} - {".git"}
    assert there == {*old, "local.env", "notes.txt"}
    assert (code / "local.env").read_text() == "was there before"
    assert (code / "swap").readlink() == outside
    assert [path.name for path in outside.iterdir()] == ["f"]


def test_a_leftover_that_cannot_be_taken_away_does_not_keep_the_service_down(
    host, tmp_path, monkeypatch
):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    remote_steps.begin(host)

    def fails(*_):
        raise StepError("cannot read the checkout")

    monkeypatch.setattr(remote_steps, "brought", fails)
    assert remote_steps.roll_back({**host, "reason": "x"})["how"] == "database untouched"


def test_a_record_is_whole_at_every_moment(spec):
    write_record(spec, id=spec["id"], step="begun")
    write_record(spec, step="moved")
    assert json.loads(record_path(spec).read_text()) == {
        "id": spec["id"],
        "step": "moved",
    }
    assert [path.name for path in record_path(spec).parent.iterdir()] == [f"{spec['id']}.json"]
