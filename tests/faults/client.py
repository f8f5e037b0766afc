"""A client of opstasks as an operator's own process, which may be killed or interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INV = str(Path(sys.executable).with_name("inv"))


@dataclass
class Ended:
    """How a client ended: its exit code, what it printed, and the document of --json."""

    code: int
    out: str
    err: str
    hung: bool = False
    document: dict = field(default_factory=dict)
    words: tuple = ()

    @property
    def host(self):
        """The host's part of the document; empty for a client that was killed."""
        hosts = self.document.get("hosts", {})
        return next(iter(hosts.values()), {})

    @property
    def error(self):
        """The error as an operator reads it: message and hint."""
        return self.host.get("error") or self.document.get("error") or {}

    @property
    def text(self):
        """Everything that was printed, for searching."""
        return f"{self.out}\n{self.err}"


class Client:
    """One running `inv`."""

    def __init__(self, ground, words, *, operator="one", inventory=None, env=None):
        argv = [INV, "--json", "-H", ground.machine.name, *words]
        hosts = {"OPSTASKS_HOSTS": str(inventory or ground.inventory)}
        self.words = list(words)
        self.process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**environment(ground, operator), **hosts, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def runs(self):
        """Whether it is still there."""
        return self.process.poll() is None

    def signal(self, number):
        """Send a signal to the whole group, as a terminal does; nothing when it has ended."""
        if self.runs:
            os.killpg(self.process.pid, number)

    def ends_within(self, timeout_s):
        """Wait for its end, at most so long; whether it has ended."""
        deadline = time.monotonic() + timeout_s
        while self.runs and time.monotonic() < deadline:
            time.sleep(0.1)
        return not self.runs

    def end(self, timeout_s=150):
        """Wait for its end; a client that does not end is killed and counts as hung."""
        hung = False
        try:
            out, err = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            hung = True
            self.signal(signal.SIGKILL)
            out, err = self.process.communicate()
        words = tuple(self.words)
        return Ended(self.process.returncode, out, err, hung, _document(out), words)


def _document(out):
    """The JSON document in an output; empty without one."""
    for line in reversed(out.splitlines()):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                return {}
    return {}


def run(ground, *words, **options):
    """Run a command to its end."""
    return Client(ground, words, **options).end()


def state_dir(ground, name="one"):
    """XDG_STATE_HOME of an operator."""
    path = ground.folder / f"{ground.machine.name}-{name}"
    path.mkdir(parents=True, exist_ok=True)
    return path


def environment(ground, operator="one"):
    """The environment of a client."""
    home = {**os.environ, "XDG_STATE_HOME": str(state_dir(ground, operator))}
    home.pop("OPSTASKS_SUDO_PASSWORD_FILE", None)
    return home
