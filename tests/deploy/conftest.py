"""Fixtures for the host's side of a release: real databases and checkouts, no service."""

import pytest

from opstasks.deploy.onhost import database, jobs, refusals, seen, service, steps
from tests.deploy.deploy_help import git


@pytest.fixture
def release_spec(tmp_path):
    """The spec of a release with all paths in a folder of the test."""
    return {
        "id": "20240101T000000-abc",
        "who": "a@b",
        "kind": "deploy",
        "ref": "main",
        "state_dir": str(tmp_path / "opstasks"),
        "code": str(tmp_path / "code"),
        "lib": str(tmp_path / "lib"),
        "config_dir": str(tmp_path),
        "database": str(tmp_path / "db.sqlite"),
        "unit": "jobrunner",
        "from_code": "1" * 40,
        "to_code": "2" * 40,
        "from_lib": "3" * 40,
        "to_lib": "4" * 40,
        "from_name": "v1",
        "to_name": "v2",
        "keep_snapshots": 2,
        "restore_from": "",
        "reason": "",
    }


@pytest.fixture
def reads_all(monkeypatch):
    """Let the old code read all carried-over rows."""
    monkeypatch.setattr(database, "old_code_reads", lambda spec, folder: True)


@pytest.fixture
def release(release_spec, tmp_path, monkeypatch, reads_all):
    """A release with two checkouts at the right commits, and a stubbed service."""
    spec = dict(release_spec)
    for name in ("code", "lib"):
        path = tmp_path / name
        path.mkdir()
        git("init", "-q", cwd=path)
        for commit in ("from", "to"):
            git("commit", "-q", "--allow-empty", "-m", commit, cwd=path)
            spec[f"{commit}_{name}"] = git("rev-parse", "HEAD", cwd=path)
        git("checkout", "-q", "--detach", "HEAD~", cwd=path)
    monkeypatch.setattr(steps, "stop", lambda spec: None)
    monkeypatch.setattr(steps, "job_containers", list)
    monkeypatch.setattr(jobs, "job_containers", list)
    monkeypatch.setattr(steps, "exceptions_now", lambda spec: [])
    for module, name in (
        (steps, "unit_state"),
        (seen, "unit_state"),
        (refusals, "unit_state"),
        (steps, "settled_state"),
        (service, "settled_state"),
    ):
        monkeypatch.setattr(module, name, lambda spec: {"ActiveState": "inactive"})
    return spec


@pytest.fixture
def upstream(tmp_path):
    """A repository with two files, which the tests change by hand."""
    path = tmp_path / "upstream"
    path.mkdir()
    git("init", "-q", "-b", "main", cwd=path)
    for name in ("a", "b"):
        (path / name).write_text(name)
    git("add", ".", cwd=path)
    git("commit", "-qm", "first\tcommit", cwd=path)
    return path


@pytest.fixture
def checkout(upstream, tmp_path):
    """A clone of it at its first commit, which is tagged v1."""
    git("tag", "v1", cwd=upstream)
    git("clone", "-q", str(upstream), "checkout", cwd=tmp_path)
    path = tmp_path / "checkout"
    git("checkout", "-q", "--detach", "v1", cwd=path)
    return path
