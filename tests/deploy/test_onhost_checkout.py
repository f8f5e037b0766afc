"""The host's side of a release: checkouts, on real git repositories."""

import subprocess

import pytest

from opstasks.deploy.onhost import checkout, move, steps
from opstasks.deploy.onhost.record import write_record
from tests.deploy.deploy_help import database, git


def test_an_interrupted_checkout_is_finished(tmp_path):
    git("init", "-q", cwd=tmp_path)
    commits = []
    for text in ("one", "two"):
        (tmp_path / "file").write_text(text)
        git("add", ".", cwd=tmp_path)
        git("commit", "-qm", text, cwd=tmp_path)
        commits.append(git("rev-parse", "HEAD", cwd=tmp_path))
    (tmp_path / ".git" / "index.lock").write_text("")
    (tmp_path / "file").write_text("half-")
    move.move(str(tmp_path), commits[0], commits[1], tmp_path.parent / "kept" / "x.patch")
    assert (tmp_path / "file").read_text() == "one"
    assert checkout.head(str(tmp_path)) == commits[0]
    move.move(str(tmp_path), commits[0], commits[1], tmp_path.parent / "kept" / "x.patch")


def commit_files(tree, **files):
    """Commit a tree of these files (a path as the text means a link to it); the commit."""
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


def test_going_back_removes_files_of_an_interrupted_checkout(release, tmp_path):
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
    spec = {**release, "from_code": from_code, "to_code": to_code}
    steps.begin(spec)
    write_record(spec, step="moving")
    # git itself is killed when it reaches the last file.
    (code / ".git" / "info" / "attributes").write_text("zz filter=cut\n")
    git("config", "filter.cut.smudge", "kill -9 $PPID", cwd=code)
    with pytest.raises(subprocess.CalledProcessError):
        git("checkout", "-q", "--detach", to_code, cwd=code)
    assert (code / "new" / "deep" / "a.py").exists()
    (code / "notes.txt").write_text("by hand")
    (code / "local.env").write_text("was there before")
    steps.roll_back({**spec, "reason": "its client disappeared"})
    assert git("status", "--porcelain", cwd=code) == "?? notes.txt"
    there = {path.name for path in code.iterdir()} - {".git"}
    assert there == {*old, "local.env", "notes.txt"}
    assert (code / "local.env").read_text() == "was there before"
    assert (code / "swap").readlink() == outside
    assert [path.name for path in outside.iterdir()] == ["f"]
