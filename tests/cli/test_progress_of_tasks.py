"""In a real terminal, every task that connects says which host it waits for, before any answer."""

import os
import socket
import sys
from pathlib import Path

import pexpect
import pytest

from opstasks.namespace import namespace
from tests.fuzz.answers import KNOWN_ID
from tests.fuzz.readers import READERS

FIRST = {reader.words[0]: reader.words for reader in reversed(READERS)}
WORDS = {
    **FIRST,
    "hosts": ("hosts", "--check"),
    "manage": ("manage", "--allow-lockout"),
    "shell": ("shell",),
    "jobs.mount": ("jobs.mount", KNOWN_ID),
    "db.progress": ("db.progress", "--table", "Extract"),
}
NO_HOST = "completion"
DEFAULT = {"deploy.apply": "deploy", "scheduled.show": "scheduled"}
LONGEST_S = 60


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """A host whose network accepts every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        path = tmp_path_factory.mktemp("silent") / "hosts.yaml"
        place = f"{{address: 127.0.0.1, port: {server.getsockname()[1]}, backend: tpp}}"
        path.write_text(f"hosts: {{silent: {place}}}\n")
        yield path


@pytest.fixture
def typed(hosts, tmp_path):
    """Type a command line into a terminal."""
    opened = []

    def run(*words):
        env = {**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(tmp_path)}
        argv = ["--inventory", str(hosts), "-H", "silent", "--yes", *words]
        inv = str(Path(sys.executable).with_name("inv"))
        opened.append(
            pexpect.spawn(
                inv, argv, env=env, dimensions=(24, 80), encoding="utf-8", timeout=LONGEST_S
            )
        )
        return opened[-1]

    yield run
    for child in opened:
        child.close(force=True)


def test_each_task_that_connects_has_a_line():
    tasks = {DEFAULT.get(name, name) for name in namespace.task_names}
    assert set(WORDS) == {name for name in tasks if not name.startswith("sandbox.")} - {NO_HOST}


@pytest.mark.parametrize("task", WORDS)
def test_the_host_is_named_before_it_has_answered(typed, task):
    child = typed(*WORDS[task])
    child.expect(r"waiting for silent \(\d+ s\)")
    assert "error" not in child.before
