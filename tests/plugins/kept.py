"""Hosts whose connections OpenSSH keeps, in a runtime directory of the test's own."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


class KeptPlace:
    """The runtime directory of one test, and the processes that belong to it."""

    def __init__(self, path):
        self.path = path
        self.folder = path / "opstasks"

    def processes(self):
        """The command lines that name the directory, by process id."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = path.read_bytes()
                if bytes(self.path) in line:
                    found[int(path.parent.name)] = line
        return found

    def inventory(self, sandbox_dir):
        """A hosts.yaml that keeps every connection."""
        path = self.path / "hosts.yaml"
        text = (sandbox_dir / "hosts.yaml").read_text()
        path.write_text(f"{text}defaults:\n  keep_connection: 5m\n")
        return path

    @staticmethod
    def pid(master):
        """The process id of a master."""
        asked = ["ssh", "-F", "none", "-S", str(master.socket), "-O", "check", "x"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stderr
        return int(said.partition("pid=")[2].partition(")")[0])

    def kill(self, master):
        """End a master as a crash does; waits until it accepts nothing any more."""
        os.kill(self.pid(master), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while master.accepts() and time.monotonic() < deadline:
            time.sleep(0.02)


@pytest.fixture
def runtime(monkeypatch):
    """A runtime directory with a short path: a socket's has at most 104 bytes."""
    from opstasks.fleet.ssh_master import kept

    place = KeptPlace(Path(tempfile.mkdtemp(prefix="ops", dir="/tmp")))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place.path))
    yield place
    for master in kept():
        master.exit()
    shutil.rmtree(place.path)


@pytest.fixture
def keep(spec, runtime):
    """A host whose connection is kept: `keep("sandbox-1", port=23)`."""
    return lambda name="sandbox-1", **over: spec(name, **{"keep_connection": "5m", **over})


@pytest.fixture
def connect_kept(runtime):
    """Open a host through a kept connection; closed after the test."""
    from opstasks.fleet import openssh
    from opstasks.fleet.host import Host

    opened = []

    def make(spec, gateway=None, **options):
        opened.append(Host(spec, connect=lambda s: openssh.connect(s, gateway), **options))
        return opened[-1]

    yield make
    for host in opened:
        host.close()


@pytest.fixture
def kept_inv(inv, runtime, sandbox_dir):
    """The real `inv`, with kept connections."""
    env = {"XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]}
    inventory = runtime.inventory(sandbox_dir)
    return lambda *words: inv(*words, env=env, inventory=inventory)
