"""How git compares, leaves out and converts files is not up to an account or a checkout."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from opstasks.deploy.onhost.checkout import changed_files
from opstasks.deploy.onhost.move import move
from opstasks.manage.onhost import system_actions
from tests.look import until

EVIL = {
    "core.checkStat": "minimal",
    "core.trustctime": "false",
    "core.ignoreStat": "true",
    "core.sparseCheckout": "true",
    "core.autocrlf": "true",
    "core.eol": "crlf",
    "status.showUntrackedFiles": "no",
}
FILES = {"a.py": b"one\n", "b.py": b"two\n", ".gitattributes": b"*.py text\n"}
LONG_AGO = (1_600_000_000, 1_600_000_000)


def git(*words, cwd):
    options = ("-c", "user.email=a@b", "-c", "user.name=A")
    done = subprocess.run(["git", *options, *words], cwd=cwd, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A clone, two commits behind its origin, of an account whose home has no settings."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    up, path = tmp_path / "up", tmp_path / "code"
    git("init", "-q", "-b", "main", str(up), cwd=tmp_path)
    (up / "a.py").write_text("zero\n")
    git("add", ".", cwd=up)
    git("commit", "-qm", "first", cwd=up)
    git("clone", "-q", str(up), str(path), cwd=tmp_path)
    for name, content in FILES.items():
        (up / name).write_bytes(content)
    git("add", ".", cwd=up)
    git("commit", "-qm", "second", cwd=up)
    git("fetch", "-q", cwd=path)
    return path


def spoil(home, path, keys, place):
    """Set bad values, in the home or in the checkout; a pattern leaves out a.py."""
    file = home / ".gitconfig" if place == "home" else path / ".git/config"
    for key in keys:
        git("config", "--file", str(file), key, EVIL[key], cwd=home)
    (path / ".git/info/sparse-checkout").write_text("/b.py\n")


def contents(path):
    return {name: (path / name).read_bytes() for name in FILES if (path / name).exists()}


KEYS = [*((key,) for key in EVIL), tuple(EVIL)]


@pytest.mark.parametrize("place", ["home", "checkout"])
@pytest.mark.parametrize("keys", KEYS, ids=",".join)
def test_a_move_writes_all_files_of_a_commit_and_sees_changes_afterwards(
    checkout, tmp_path, keys, place
):
    spoil(tmp_path / "home", checkout, keys, place)
    old, new = (git("rev-parse", name, cwd=checkout) for name in ("HEAD", "origin/main"))
    move(str(checkout), new, old, tmp_path / "patch")
    assert contents(checkout) == FILES
    assert changed_files(str(checkout)) == ""
    (checkout / "a.py").write_text("other\n")
    (checkout / "new.py").write_text("")
    assert changed_files(str(checkout)) == " M a.py\n?? new.py"


@pytest.mark.parametrize("place", ["home", "checkout"])
@pytest.mark.parametrize("is_in_place", [True, False])
def test_a_change_that_keeps_size_and_time_is_seen_and_moved(
    checkout, tmp_path, place, is_in_place
):
    old, new = (git("rev-parse", name, cwd=checkout) for name in ("HEAD", "origin/main"))
    move(str(checkout), new, old, tmp_path / "patch")
    file, other = checkout / "a.py", tmp_path / "other"
    os.utime(file, LONG_AGO)
    git("update-index", "--refresh", cwd=checkout)
    spoil(tmp_path / "home", checkout, ("core.checkStat", "core.trustctime"), place)
    # In place, the file keeps its number, too. Git compares whole seconds.
    until(lambda: time.time() >= int(file.stat().st_ctime) + 1, "a second passed", every_s=0.05)
    target = file if is_in_place else other
    target.write_bytes(b"two\n")
    os.utime(target, LONG_AGO)
    target.replace(file)
    assert changed_files(str(checkout)) == " M a.py"
    move(str(checkout), old, new, tmp_path / "patch")
    move(str(checkout), new, old, tmp_path / "patch")
    assert contents(checkout) == FILES


@pytest.mark.parametrize("keys", KEYS, ids=",".join)
def test_a_clone_has_all_files_of_the_commit(checkout, tmp_path, monkeypatch, keys):
    spoil(tmp_path / "home", checkout, keys, "home")
    # Without a pattern, a sparse checkout has the files of the uppermost folder only.
    up, path = tmp_path / "up", tmp_path / "cloned"
    (up / "inner").mkdir()
    (up / "inner/c.py").write_bytes(b"three\n")
    git("add", ".", cwd=up)
    git("commit", "-qm", "third", cwd=up)
    shutil.rmtree(checkout)

    def run_here(_, *words):
        subprocess.run(words, check=True, capture_output=True)

    monkeypatch.setattr(system_actions, "as_user", run_here)
    action = {"path": str(path), "url": str(up), "ref": "main", "owner": "root"}
    system_actions.checkout(action)
    assert contents(path) == FILES
    assert Path(path, "inner/c.py").read_bytes() == b"three\n"
