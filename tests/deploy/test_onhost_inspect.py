"""The host's side of an inspection: real git repositories, real databases, a small job-runner."""

import contextlib
import json
import os
import sqlite3
from pathlib import Path

import pytest

from opstasks.core.result import Result
from opstasks.deploy.facts import INSPECT
from opstasks.deploy.onhost import checkout_facts as reading
from opstasks.deploy.onhost import inspect, origin
from opstasks.doctor.onhost import inspect as doctor_inspect
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.deploy.checkout_help import commit_upstream, write_package
from tests.deploy.deploy_help import database, git
from tests.look import until


def facts(path, ref="main", *, fetches=True):
    return reading.checkout_facts(str(path), ref, fetches=fetches)


# -- checkouts -------------------------------------------------------------------------------


def test_staged_unstaged_and_untracked_paths_are_separate(checkout):
    (checkout / "a").write_text("changed")
    (checkout / "b").write_text("changed")
    git("add", "b", cwd=checkout)
    (checkout / "new file").write_text("x")
    expected = {"staged": ["b"], "unstaged": ["a"], "untracked": ['"new file"']}
    assert facts(checkout)["dirt"] == expected


def test_a_clean_checkout_has_no_dirt(checkout):
    assert facts(checkout)["dirt"] == {"staged": [], "unstaged": [], "untracked": []}


def test_invalid_lines_of_a_status_are_ignored():
    odd = reading.dirt("?\n \nM\nMM a b\nR  old -> new\n")
    assert odd["untracked"] == [""]
    assert odd["staged"] == ["", "a b", "old -> new"]


def test_reading_a_checkout_does_not_change_its_index(checkout):
    index = checkout / ".git" / "index"
    before = index.read_bytes()
    os.utime(checkout / "a", (1, 1))
    assert facts(checkout, fetches=False)["dirt"]["unstaged"] == []
    assert index.read_bytes() == before


def test_the_log_keeps_tabs_in_subjects(checkout):
    (commit,) = reading.commits(str(checkout), "HEAD")
    assert (commit["author"], commit["subject"]) == ("A", "first\tcommit")


def test_a_target_is_found_by_branch_tag_and_commit(checkout, upstream):
    sha = commit_upstream(upstream, "second", "v2")
    for ref in ("main", "v2", sha, sha[:10]):
        found = facts(checkout, ref)
        assert (found["target"], found["target_name"], found["error"]) == (sha, "v2", "")
        assert [commit["subject"] for commit in found["gained"]] == ["second"]
        assert (found["head_name"], found["lost"]) == ("v1", [])


@pytest.mark.parametrize("name", ["", "a b", "v1 commit", "main\nmain", "v1:a", "-v1", "v1^{tree}"])
def test_a_name_of_anything_but_a_commit_has_no_commit(checkout, name):
    head = git("rev-parse", "HEAD", cwd=checkout)
    assert origin.commits_of(str(checkout), "HEAD", "v1") == [head, head]
    assert origin.commits_of(str(checkout), name) == [""]
    assert facts(checkout, name, fetches=False)["target"] == ""


@pytest.mark.parametrize("length", [40, 12, 7])
@pytest.mark.parametrize("kind", ["branch", "tag"])
def test_a_branch_cannot_take_the_place_of_a_reviewed_commit(checkout, upstream, kind, length):
    reviewed = commit_upstream(upstream, "reviewed")
    commit_upstream(upstream, "hostile")
    git("update-ref", f"refs/{HEADS[kind]}/{reviewed[:length]}", "HEAD", cwd=upstream)
    found = facts(checkout, reviewed[:length])
    if length == 40:
        assert (found["target"], found["error"]) == (reviewed, "")
        return
    assert found["target"] == ""
    assert f"looks like a commit, but is a {kind} of another commit" in found["error"]


HEADS = {"branch": "heads", "tag": "tags"}


def test_a_branch_cannot_take_the_place_of_a_release(checkout, upstream):
    release = commit_upstream(upstream, "release", "v9")
    git("branch", "v9", cwd=upstream)
    for hostile in (False, True):
        if hostile:
            commit_upstream(upstream, "hostile")
            git("branch", "-f", "v9", "HEAD", cwd=upstream)
        found = facts(checkout, "v9")
        assert (found["target"], found["fault"]) == ("", "name")
        assert found["error"] == "'v9' is a branch and a tag: name the commit"
    assert facts(checkout, release)["target"] == release


def test_a_folder_without_a_repository_has_no_commits(tmp_path):
    assert origin.commits_of(str(tmp_path), "HEAD", "v1") == ["", ""]


def test_a_diverged_checkout_shows_what_it_would_lose(checkout, upstream):
    commit_upstream(upstream, "theirs")
    git("commit", "-q", "--allow-empty", "-m", "ours", cwd=checkout)
    found = facts(checkout)
    assert [commit["subject"] for commit in found["gained"]] == ["theirs"]
    assert [commit["subject"] for commit in found["lost"]] == ["ours"]


def test_without_a_fetch_only_what_is_on_the_host_is_found(checkout, upstream):
    assert facts(checkout, "v1")["error"] == ""
    commit_upstream(upstream, "second", "v2")
    error = facts(checkout, "v2", fetches=False)["error"]
    assert error == "'v2' is not a branch or a tag of the origin, or a commit"
    assert facts(checkout, "v1", fetches=False)["error"] == ""


def test_an_unreachable_origin_is_an_error_of_the_checkout(checkout, upstream):
    upstream.rename(upstream.with_name("away"))
    found = facts(checkout, "v1")
    assert found["error"].startswith("cannot fetch: ")
    assert (found["head_name"], found["target"]) == ("v1", "")


def test_a_checkout_whose_changes_cannot_be_read_has_no_target(checkout):
    (checkout / ".git" / "index").write_text("no index")
    assert facts(checkout, "v1", fetches=False)["error"].startswith("git cannot read it: ")


def test_export_does_not_change_the_checkout(checkout, tmp_path):
    target = tmp_path / "out" / "code"
    reading.export(str(checkout), "HEAD", str(target))
    assert sorted(path.name for path in target.iterdir()) == ["a", "b"]
    assert git("worktree", "list", cwd=checkout).count("\n") == 0
    with pytest.raises(HostFailure, match="not a valid object name: v9"):
        reading.export(str(checkout), "v9", str(tmp_path / "none"))


def test_a_commit_that_would_fill_the_disk_is_not_unpacked(checkout, tmp_path, monkeypatch):
    """Git compresses: some kilobytes of a commit can be gigabytes of zeros."""
    monkeypatch.setattr(reading, "MOST_FILE_BYTES", 4096)
    (checkout / "zeros").write_bytes(bytes(1 << 20))
    git("add", "zeros", cwd=checkout)
    git("commit", "-qm", "zeros", cwd=checkout)
    target = tmp_path / "new"
    with pytest.raises(HostFailure, match="its files take more than 4 KiB"):
        reading.export(str(checkout), "HEAD", str(target))
    assert sum(path.stat().st_size for path in target.rglob("*")) < 100_000


def test_a_fetch_that_hangs_can_clean_up_and_leaves_no_process(tmp_path, monkeypatch):
    log = tmp_path / "log"
    script = tmp_path / "git"
    trap = f"trap 'echo cleaned up >>{log}; exit 1' TERM"
    script.write_text(f"#!/bin/sh\n{trap}\nsleep 300 &\necho $! >{log}\nwait\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(origin, "FETCH_TIMEOUT_S", 4)
    done = origin.fetch(str(tmp_path))
    assert (done.returncode, reading.tail(done)) == (124, "no answer within 4 s")
    pid, said = log.read_text().split("\n", 1)
    assert said == "cleaned up\n"
    until(lambda: has_ended(pid), "the process ended", every_s=0.05)


def has_ended(pid):
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


# -- the database and the whole --------------------------------------------------------------


def test_only_running_jobs_are_listed_and_null_is_an_empty_text(tmp_path):
    path = tmp_path / "db.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE job (id, workspace, action, state)")
        rows = [("1", "ws", None, "running"), ("2", "ws", "act", "pending")]
        connection.executemany("INSERT INTO job VALUES (?, ?, ?, ?)", rows)
    found = inspect.database_facts(str(path))
    assert found["running"] == [{"id": "1", "workspace": "ws", "action": ""}]
    assert (found["quick_check"], found["error"]) == ("ok", "")


def test_a_missing_or_damaged_database_is_reported(tmp_path):
    path = tmp_path / "db.sqlite"
    assert inspect.database_facts(str(path))["exists"] is False
    path.write_text("no database at all " * 500)
    facts = inspect.database_facts(str(path))
    assert (facts["is_damaged"], facts["error"]) == (True, "file is not a database")
    assert inspect.health(str(tmp_path / "none")).startswith(str(tmp_path / "none"))


@pytest.mark.parametrize("what", ["deploy", "doctor"])
def test_a_database_in_a_folder_of_root_is_not_called_missing(tmp_path, monkeypatch, what):
    path = tmp_path / "db.sqlite"
    database(path, [])
    real = Path.stat

    def closed(self, **options):
        if self == path:
            raise PermissionError(13, "Permission denied")
        return real(self, **options)

    monkeypatch.setattr(Path, "stat", closed)
    if what == "doctor":
        expected = {"problem": "Permission denied", "damaged": False}
        assert doctor_inspect.database(str(path)) == expected
        return
    found = inspect.database_facts(str(path))
    assert (found["exists"], found["error"]) == (True, "Permission denied")


def request(tmp_path, **values):
    return {
        "code_dir": str(tmp_path / "checkout"),
        "lib_dir": str(tmp_path / "checkout"),
        "code_ref": "main",
        "lib_ref": "main",
        "config_dir": str(tmp_path),
        "database": str(tmp_path / "db.sqlite"),
        "home": str(tmp_path),
        "state_dir": str(tmp_path / "opstasks"),
        "unit": "no-such-unit-of-ours",
        "snapshot": "",
        "fetches": True,
        "preview": False,
        "limit": 200,
        **values,
    }


def test_an_inspection_answers_what_the_client_expects(checkout, upstream, tmp_path):
    write_package(upstream)
    git("add", ".", cwd=upstream)
    commit_upstream(upstream, "second", "v2")
    path = tmp_path / "db.sqlite"
    database(path, [])
    with sqlite3.connect(path) as connection:
        connection.executescript("ALTER TABLE job ADD workspace; ALTER TABLE job ADD action")
    answer = inspect.main(request(tmp_path))
    found = INSPECT.decode(Result("", 0, json.dumps({"ok": answer}), ""), "tpp")
    assert (found.code.head_name, found.code.target_name) == ("v1", "v2")
    assert (found.import_error, found.code_version) == ("", 2)
    assert [item.version for item in found.migrations] == [2]
    assert (found.unit_loaded, found.snapshot, found.releases) == (False, "ok", ())
    assert {disk.kind for disk in found.disks} == {"state", "database", "code", "lib"}
    assert all(disk.free_bytes and disk.free_files for disk in found.disks)
    assert [path.name for path in (tmp_path / "opstasks").iterdir()] == ["imports.json"]


@pytest.mark.parametrize("state", ["locked", "damaged"])
def test_no_migration_is_pending_for_a_database_of_unknown_version(
    checkout, upstream, tmp_path, monkeypatch, state
):
    write_package(upstream)
    git("add", ".", cwd=upstream)
    commit_upstream(upstream, "second", "v2")
    path = tmp_path / "db.sqlite"
    database(path, [])
    monkeypatch.setattr(inspect, "LOCKED_S", 0.1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        if state == "locked":
            other.execute("BEGIN EXCLUSIVE")
        else:
            path.write_text("no database at all " * 500)
        answer = inspect.main(request(tmp_path))
    found = INSPECT.decode(Result("", 0, json.dumps({"ok": answer}), ""), "tpp")
    assert state in found.database.unknown
    assert found.code_version == 2
    assert found.migrations == ()


def test_a_release_that_cannot_be_unpacked_is_not_judged_by_the_present_code(
    checkout, upstream, tmp_path
):
    """The commit is there and one of its files is not: a broken object store."""
    git("checkout", "-q", "--detach", "main", cwd=upstream)
    write_package(upstream)
    git("add", ".", cwd=upstream)
    commit_upstream(upstream, "second", "v2")
    write_package(checkout)
    database(tmp_path / "db.sqlite", [])
    origin.fetch(str(checkout))
    blob = git("rev-parse", "v2:jobrunner/service.py", cwd=checkout)
    lost = checkout / ".git/objects" / blob[:2] / blob[2:]
    assert lost.exists()
    lost.unlink()
    answer = inspect.main(request(tmp_path, code_ref="v2", lib_ref="v2", fetches=False))
    place = tmp_path / "opstasks"
    assert answer["not_inspected"].startswith(f"cannot unpack it in {place}: error: ")
    assert (answer["import_error"], answer["migrations"], answer["code_version"]) == ("", [], 0)


def test_a_host_without_a_checkout_is_refused(tmp_path):
    with pytest.raises(HostRefusal, match="no job-runner checkout in"):
        inspect.main(request(tmp_path))
