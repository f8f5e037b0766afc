"""Fixtures for `manage` on real hosts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.manage.manage_sandbox_help import HOST, ROOT


@pytest.fixture
def sh(managed):
    """Run a shell command as root on the host, without SSH."""
    return lambda script, host=HOST: managed.must(host, ["bash", "-c", script]).strip()


@pytest.fixture
def backends(tmp_path):
    """Descriptions of a test's own: the sandbox's, and a key pair for a new person."""
    folder = tmp_path / "backends"
    for source in (ROOT / "opstasks/backends", ROOT / "opstasks/sandbox/backends"):
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder, ignore=ignored, dirs_exist_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "id")], check=True
    )
    return folder


@pytest.fixture
def ops(inv, backends):
    """`inv -H sandbox-1 ...` with these descriptions."""

    def run(*argv, **more):
        return inv("-H", HOST, *argv, env={"OPSTASKS_BACKENDS": str(backends)}, **more)

    return run


@pytest.fixture
def restored(managed, sh):
    """After the test, the host matches its description again."""
    yield
    sh("userdel -r eve 2>/dev/null; true")
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("inv")), "-H", HOST),
            *("--inventory", str(Path(os.environ["OPSTASKS_SANDBOX_DIR"]) / "hosts.yaml")),
            *("manage", "--yes"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
