"""git: exact commands, and parsers against what git prints."""

import os
import subprocess

import pytest

from opstasks.core.errors import Refused
from opstasks.primitives import git

PREFIX = "git --no-optional-locks -c gc.auto=0 -c core.quotePath=false -C /srv/code"


def test_fetch_is_one_quiet_command():
    assert git.fetch("/srv/code").line() == (
        f"{PREFIX} fetch --quiet --prune --tags --force origin"
    )


@pytest.mark.parametrize(
    "ref", ["", "-x", "--upload-pack=evil", "a..b", "a b", "a;b", "$(x)", "a.lock", "x/", "a\nb"]
)
def test_hostile_refs_are_refused(ref):
    with pytest.raises(Refused):
        git.valid_ref(ref)


@pytest.mark.parametrize("ref", ["main", "v2.73.0", "feature/a-b", "0a1b2c3"])
def test_ordinary_refs_pass(ref):
    assert git.valid_ref(ref) == ref


def run(*args, cwd):
    env = {"HOME": str(cwd), "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(args, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repo(tmp_path):
    run("git", "init", "-q", "-b", "main", cwd=tmp_path)
    run("git", "config", "user.email", "a@example.org", cwd=tmp_path)
    run("git", "config", "user.name", "A", cwd=tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    run("git", "add", ".", cwd=tmp_path)
    run("git", "commit", "-qm", "first\tcommit", cwd=tmp_path)
    return tmp_path


def test_staged_unstaged_and_untracked_are_told_apart(repo):
    (repo / "a").write_text("changed")
    (repo / "b").write_text("changed")
    run("git", "add", "b", cwd=repo)
    (repo / "new file").write_text("x")
    dirt = git.parse_status(run("bash", "-c", git.status(repo).line(), cwd=repo))
    assert dirt == git.Dirt(staged=("b",), unstaged=("a",), untracked=('"new file"',))
    assert dirt.describe() == '1 staged (b), 1 unstaged (a), 1 untracked ("new file")'


def test_a_clean_checkout_has_no_dirt(repo):
    assert not git.parse_status(run("bash", "-c", git.status(repo).line(), cwd=repo))


def test_a_look_at_a_checkout_leaves_its_index_alone(repo):
    index = repo / ".git" / "index"
    before = index.read_bytes()
    os.utime(repo / "a", (1, 1))
    assert not git.parse_status(run("bash", "-c", git.status(repo).line(), cwd=repo))
    assert index.read_bytes() == before


def test_the_log_keeps_tabs_in_subjects(repo):
    (commit,) = git.parse_log(run("bash", "-c", git.log(repo, "HEAD").line(), cwd=repo))
    assert (commit.author, commit.subject) == ("A", "first\tcommit")


TARGET = git.target_ref("abc")


def test_a_target_is_found_and_kept(repo):
    run("git", "tag", "v1", cwd=repo)
    sha = run("bash", "-c", git.find_target(repo, "v1", TARGET).line(), cwd=repo).strip()
    assert sha == run("git", "rev-parse", TARGET, cwd=repo).strip()
    run("bash", "-c", git.forget(repo, TARGET).line(), cwd=repo)
    assert run("git", "for-each-ref", "refs/opstasks", cwd=repo) == ""


def test_export_leaves_no_trace_in_the_checkout(repo, tmp_path_factory):
    target = tmp_path_factory.mktemp("out") / "code"
    run("bash", "-c", git.export(repo, "HEAD", target).line(), cwd=repo)
    assert sorted(path.name for path in target.iterdir()) == ["a", "b"]
    assert run("git", "worktree", "list", cwd=repo).count("\n") == 1
