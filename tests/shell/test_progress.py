"""In a real terminal, each of these tasks says whom it waits for."""

import os
import sys
from pathlib import Path

import pexpect
import pytest

from tests.shell.silent import SilentHost

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def silent():
    host = SilentHost()
    yield host
    host.end()


@pytest.mark.parametrize(
    "words",
    ["shell --user ops", "run --user ops -- true", "logs", "logs --raw", "logs -f", "history"],
)
def test_a_host_that_says_nothing_is_awaited_by_name(silent, tmp_path, words):
    path = tmp_path / "hosts.yaml"
    entry = f"{{address: 127.0.0.1, port: {silent.port}, connect_timeout_s: 300, user: ops}}"
    path.write_text(f"hosts:\n  silent: {entry}\n")
    child = pexpect.spawn(
        str(Path(sys.executable).with_name("inv")),
        ["--inventory", str(path), "-H", "silent", *words.split()],
        cwd=str(ROOT),
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "xterm"},
        dimensions=(24, 80),
        timeout=30,
        encoding="utf-8",
    )
    try:
        child.expect(r"waiting for silent \(\d+ s\)")
        assert silent.is_awaited
    finally:
        child.close(force=True)
