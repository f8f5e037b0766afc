"""The host's side of a release: what people do in a checkout meanwhile is kept."""

import contextlib
import os
import subprocess
import threading
import time

import pytest

from opstasks.deploy.onhost import git_locks, kept_edits, move, steps
from opstasks.deploy.onhost.record import read_record
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.deploy.deploy_help import database, git
from tests.deploy.test_onhost_steps import do
from tests.look import until


@pytest.fixture
def moving(release, tmp_path):
    """A release whose code has files that stay, change, come and go; it has begun."""
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    code = tmp_path / "code"
    (code / ".gitignore").write_text("*.env\n")
    for name, text in (("stays", "1\n"), ("changes", "old\n"), ("goes", "1\n")):
        (code / name).write_text(text)
    old = committed(code)
    (code / "goes").unlink()
    for name, text in (("changes", "new\n"), ("comes", "1\n"), ("local.env", "theirs\n")):
        (code / name).write_text(text)
    new = committed(code)
    git("checkout", "-q", "--detach", old, cwd=code)
    spec = {**release, "from_code": old, "to_code": new}
    steps.begin(spec)
    return spec


def committed(path):
    git("add", "--all", "--force", ".", cwd=path)
    git("commit", "-qm", "files", cwd=path)
    return git("rev-parse", "HEAD", cwd=path)


def patches(spec):
    folder = os.path.join(spec["state_dir"], "kept")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def switched(monkeypatch, spec):
    monkeypatch.setattr(steps, "migrate", lambda spec: None)
    return steps.switch(spec)


# -- before the move -------------------------------------------------------------------------

EDITS = {
    "a changed file": lambda code: (code / "stays").write_text("by hand\n"),
    "a staged file": lambda code: (
        (code / "stays").write_text("by hand\n"),
        git("add", "stays", cwd=code),
    ),
    "a new file": lambda code: (code / "notes.txt").write_text("by hand\n"),
    "a moved checkout": lambda code: git("commit", "-q", "--allow-empty", "-m", "x", cwd=code),
    "a lock that a killed git left": lambda code: (code / ".git" / "HEAD.lock").write_text(""),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_while_the_service_stops_prevents_the_move(moving, tmp_path, monkeypatch, edit):
    EDITS[edit](tmp_path / "code")
    before = contents(tmp_path / "code")
    with pytest.raises(HostFailure, match=r"by hand|HEAD\.lock"):
        switched(monkeypatch, moving)
    assert read_record(moving)["step"] == "stopped"
    if edit != "a moved checkout":
        steps.roll_back({**moving, "reason": "x"})
        assert read_record(moving)["outcome"] == "rolled back"
    assert contents(tmp_path / "code") == before
    assert patches(moving) == []


def contents(code):
    there = [path for path in code.rglob("*") if path.is_file() and path.name != "index"]
    return {path: path.read_bytes() for path in there}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_before_the_first_step_is_refused(release, tmp_path, edit):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    for name in ("code", "lib"):
        (tmp_path / name / "stays").write_text("1\n")
        commit = committed(tmp_path / name)
        release = {**release, f"from_{name}": commit}
    EDITS[edit](tmp_path / "code")
    with pytest.raises(HostRefusal, match="after the plan was shown"):
        steps.begin(release)
    assert read_record(release) == {}


# -- after the move --------------------------------------------------------------------------


def test_edits_during_the_watch_are_kept_as_a_patch(moving, tmp_path, monkeypatch):
    code = tmp_path / "code"
    switched(monkeypatch, moving)
    (code / "changes").write_text("by hand\n")
    git("add", "changes", cwd=code)
    (code / "changes").write_text("by hand, again\n")
    (code / "comes").write_text("by hand\n")
    (code / "staged only").write_text("by hand\n")
    git("add", "staged only", cwd=code)
    (code / "notes.txt").write_text("by hand\n")
    answer = steps.roll_back({**moving, "reason": "it crashed"})
    patch = tmp_path / "opstasks" / "kept" / f"{moving['id']}-code.patch"
    assert answer["kept"] == [f"3 files changed by hand in {code}: kept in {patch}"]
    assert git("rev-parse", "HEAD", cwd=code) == moving["from_code"]
    assert git("status", "--porcelain", cwd=code) == "?? notes.txt"
    assert (patch.stat().st_mode & 0o777, patch.with_name("x").exists()) == (0o600, False)
    # The patches bring everything back on the commit where the edits were made.
    git("checkout", "-q", "--detach", moving["to_code"], cwd=code)
    git("apply", str(patch), cwd=code)
    assert (code / "changes").read_text() == "by hand, again\n"
    assert ((code / "comes").read_text(), (code / "staged only").read_text()) == ("by hand\n",) * 2
    git("checkout", "-q", "--", "changes", cwd=code)
    git("apply", "--include=changes", str(patch.with_stem(f"{patch.stem}-staged")), cwd=code)
    assert (code / "changes").read_text() == "by hand\n"


SHORTER = {
    "emptied": lambda place: place.write_text(""),
    "shortened": lambda place: place.write_text("ne"),
    "made a program": lambda place: place.chmod(0o755),
}


@pytest.mark.parametrize("edit", SHORTER)
@pytest.mark.parametrize("step", ["moving", "starting"])
def test_a_file_that_a_person_shortened_is_kept(moving, tmp_path, monkeypatch, edit, step):
    """Its content is the beginning of a commit's, but git had finished."""
    code = tmp_path / "code"
    switched(monkeypatch, moving)
    steps.write_record(moving, step=step)
    SHORTER[edit](code / "changes")
    before = ((code / "changes").read_text(), (code / "changes").stat().st_mode)
    (kept,) = steps.roll_back({**moving, "reason": "it crashed"})["kept"]
    assert kept.startswith(f"1 file changed by hand in {code}: kept in ")
    (patch,) = patches(moving)
    git("checkout", "-q", "--detach", moving["to_code"], cwd=code)
    git("apply", str(tmp_path / "opstasks" / "kept" / patch), cwd=code)
    assert ((code / "changes").read_text(), (code / "changes").stat().st_mode) == before


def test_a_file_that_no_move_writes_is_an_edit_also_after_an_interruption(moving, tmp_path):
    code = tmp_path / "code"
    (code / "stays").write_text("")
    (code / "changes").write_text("ne")
    (code / ".git" / "index.lock").write_text("")
    steps.write_record(moving, step="moving")
    (kept,) = steps.roll_back({**moving, "reason": "its client disappeared"})["kept"]
    assert kept.startswith(f"1 file changed by hand in {code}: kept in ")
    (patch,) = patches(moving)
    assert "stays" in (tmp_path / "opstasks" / "kept" / patch).read_text()
    assert (code / "stays").read_text() == "1\n"


def test_an_ignored_file_that_a_release_would_overwrite_is_kept(moving, tmp_path, monkeypatch):
    (tmp_path / "code" / "local.env").write_text("ours\n")
    switched(monkeypatch, moving)
    (kept,) = kept_edits.kept_texts(moving)
    assert kept.startswith(f"1 file changed by hand in {tmp_path / 'code'}: kept in ")
    (patch,) = patches(moving)
    assert "+ours" in (tmp_path / "opstasks" / "kept" / patch).read_text()
    assert (tmp_path / "code" / "local.env").read_text() == "theirs\n"


@pytest.mark.parametrize("last", ["new\n", "ne", ""], ids=["whole", "part", "empty"])
def test_what_an_interrupted_move_left_is_no_edit(moving, tmp_path, last):
    """A disk that is full stops git inside a file: there is no room to keep anything."""
    code = tmp_path / "code"
    for name, text in (("comes", "1\n"), ("changes", last)):
        (code / name).write_text(text)
    (tmp_path / "opstasks" / "kept").write_text("a file in place of the folder")
    (code / "goes").unlink()
    (code / ".git" / "index.lock").write_text("")
    steps.write_record(moving, step="moving")
    how = steps.roll_back({**moving, "reason": "its client disappeared"})["how"]
    assert how == "database untouched"
    assert git("status", "--porcelain", cwd=code) == ""


@pytest.mark.parametrize("way", ["file for folder", "folder for file"])
def test_a_file_where_a_release_has_a_folder_is_kept(release, tmp_path, way):
    code = tmp_path / "code"
    (code / "a").write_text("1\n")
    old = committed(code)
    (code / "new").mkdir()
    (code / "new" / "inner").write_text("1\n")
    (code / "x.env").write_text("1\n")
    new = committed(code)
    git("checkout", "-q", "--detach", old, cwd=code)
    if way == "file for folder":
        (code / "new").write_text("by hand\n")
    else:
        (code / "x.env").mkdir()
        (code / "x.env" / "inner").write_text("by hand\n")
    patch = tmp_path / "kept" / "x.patch"
    move.move(str(code), new, old, patch)
    kept = "new" if way == "file for folder" else "x.env/inner"
    assert f" b/{kept}\n" in patch.read_text()
    assert "+by hand" in patch.read_text()
    assert (code / "new" / "inner").read_text() == (code / "x.env").read_text() == "1\n"


def test_edits_are_kept_again_under_another_name(moving, tmp_path, monkeypatch):
    switched(monkeypatch, moving)
    for text in ("one\n", "two\n"):
        (tmp_path / "code" / "changes").write_text(text)
        move.move_all(moving, read_record(moving))
    first = f"{moving['id']}-code.patch"
    assert patches(moving) == [first.replace(".patch", "-2.patch"), first]


def test_edits_that_a_failed_checkout_overwrote_stay_kept(moving, tmp_path, monkeypatch):
    code, real, failed = tmp_path / "code", move.read, []
    for name in ("stays", "changes"):
        (code / name).write_text("by hand\n")

    def read(path, *words, **options):
        if words[0] == "checkout" and not failed:
            failed.append(real(path, "checkout", "HEAD", "--", "stays", **options))
            raise HostFailure("unable to write file", "No space left on device", "full")
        return real(path, *words, **options)

    monkeypatch.setattr(move, "read", read)
    patch = kept_edits.patch_path(moving, "code")
    move.move(str(code), moving["to_code"], moving["from_code"], patch)
    assert "b/stays" in patch.read_text()
    first, second = kept_edits.kept_texts(moving)
    assert first == f"2 files changed by hand in {code}: kept in {patch}"
    again = patch.with_name(patch.name.replace(".patch", "-2.patch"))
    assert second == f"1 file changed by hand in {code}: kept in {again}"


def test_a_move_that_fails_names_what_it_kept(moving, tmp_path, monkeypatch):
    code, real = tmp_path / "code", move.read
    (code / "local.env").write_text("by hand\n")

    def read(path, *words, **options):
        if words[0] == "checkout" and path == str(code):
            raise HostFailure("unable to write file", "No space left on device", "full")
        return real(path, *words, **options)

    monkeypatch.setattr(move, "read", read)
    with pytest.raises(HostFailure, match="unable to write") as caught:
        do("switch", moving)
    first, *rest = caught.value.detail.split("\n")
    patch = kept_edits.patch_path(moving, "code")
    assert first == f"1 file changed by hand in {code}: kept in {patch}"
    assert rest == ["No space left on device"]


def test_nothing_is_moved_when_edits_cannot_be_kept(moving, tmp_path, monkeypatch):
    switched(monkeypatch, moving)
    (tmp_path / "code" / "changes").write_text("by hand\n")
    (tmp_path / "opstasks" / "kept").write_text("a file in place of the folder")
    with pytest.raises(OSError, match="File exists"):
        steps.roll_back({**moving, "reason": "x"})
    assert (tmp_path / "code" / "changes").read_text() == "by hand\n"
    assert git("rev-parse", "HEAD", cwd=tmp_path / "code") == moving["to_code"]


# -- lock files ------------------------------------------------------------------------------


@pytest.fixture
def busy_git(moving, tmp_path):
    """A person's git that holds the index of the code while an editor is open."""
    code = tmp_path / "code"
    (code / "stays").write_text("by hand\n")
    words = ("git", "-c", "user.email=a@b", "-c", "user.name=A", "-c", "core.editor=sleep 60 #")
    process = subprocess.Popen((*words, "commit", "-a"), cwd=code, start_new_session=True)
    until((code / ".git" / "index.lock").exists, "git holds its lock", every_s=0.05)
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def test_the_lock_of_a_running_git_is_never_removed(moving, tmp_path, busy_git, monkeypatch):
    code = str(tmp_path / "code")
    (lock,) = git_locks.left(code)
    assert lock["holder"] == f"process {busy_git.pid} (git)"
    for wanted in (git_locks.refuse, git_locks.clear):
        with pytest.raises(HostFailure, match=rf"process {busy_git.pid} \(git\) has .*index.lock"):
            wanted(code, 0.0)
    assert (tmp_path / "code" / ".git" / "index.lock").exists()
    # A checkout elsewhere is not held by it.
    (tmp_path / "lib" / ".git" / "index.lock").write_text("")
    assert [item["holder"] for item in git_locks.left(str(tmp_path / "lib"))] == [""]


def test_a_move_waits_for_a_git_that_ends(moving, tmp_path, busy_git):
    threading.Timer(1.0, os.killpg, (busy_git.pid, 15)).start()
    git_locks.clear(str(tmp_path / "code"), 20.0)
    assert git_locks.left(str(tmp_path / "code")) == []


@pytest.mark.parametrize("name", git_locks.NAMES)
def test_a_lock_of_a_killed_git_has_no_holder_and_is_cleared(moving, tmp_path, name):
    place = tmp_path / "code" / ".git" / name
    place.write_text("")
    os.utime(place, (time.time() - 3600,) * 2)
    assert git_locks.left(str(tmp_path / "code")) == [{"path": str(place), "holder": ""}]
    with pytest.raises(HostFailure, match="a git that was killed left it"):
        git_locks.refuse(str(tmp_path / "code"))
    git_locks.clear(str(tmp_path / "code"))
    assert not place.exists()


def test_an_edit_in_the_moment_before_gits_checkout_is_kept_as_well(moving, tmp_path, monkeypatch):
    code, real, seen = tmp_path / "code", move.keep, []

    def keep(path, *rest, **options):
        found = real(path, *rest, **options)
        if path == str(code) and not seen:
            seen.append(path)
            (code / "changes").write_text("by hand\n")
        return found

    monkeypatch.setattr(move, "keep", keep)
    switched(monkeypatch, moving)
    assert "1 file changed by hand" in kept_edits.kept_texts(moving)[0]
    assert (code / "changes").read_text() == "new\n"
    (patch,) = patches(moving)
    assert "+by hand" in (tmp_path / moving["state_dir"] / "kept" / patch).read_text()
