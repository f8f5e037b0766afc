"""A real terminal: bash under pexpect, with `inv` as an operator types it."""

import os
import sys
from pathlib import Path

import pexpect
import pytest

# The hosts of the sandbox tests serve the stories, too.

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "operator> "


class Terminal:
    """A person's terminal: a line to type on and a screen to read."""

    def __init__(self, env):
        self.child = pexpect.spawn(
            "bash",
            ["--norc"],
            cwd=str(ROOT),
            env=env,
            encoding="utf-8",
            dimensions=(50, 200),
            timeout=120,
        )
        self.child.sendline(f"PS1='{PROMPT[:4]}''{PROMPT[4:]}'; stty -echo")
        self.child.expect_exact(PROMPT)

    def type(self, line):
        """Begin a command."""
        self.child.sendline(line)

    def see(self, text):
        """Wait for a text on the screen; returns the text before it."""
        self.child.expect_exact(text)
        return self.child.before

    def answer(self, question, words):
        """Wait for a question and answer it."""
        self.child.expect_exact(question)
        self.child.sendline(words)

    def interrupt(self):
        """Press Ctrl-C."""
        self.child.sendintr()

    def run(self, line):
        """Type a command without questions; returns its output and exit code."""
        self.type(line)
        return self.done()

    def done(self):
        """Wait for the prompt; returns the output since then and the exit code."""
        self.child.expect_exact(PROMPT)
        shown = self.child.before
        self.child.sendline("echo code=$?")
        self.child.expect(r"code=(\d+)")
        code = int(self.child.match[1])
        self.child.expect_exact(PROMPT)
        assert "Traceback" not in shown
        return shown, code


@pytest.fixture
def terminal(sandbox_dir, tmp_path):
    """A terminal whose `inv` knows the test hosts."""
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OPSTASKS_HOSTS": str(sandbox_dir / "hosts.yaml"),
        "XDG_STATE_HOME": str(tmp_path),
        "TERM": "xterm",
    }
    opened = Terminal(env)
    yield opened
    opened.child.close(force=True)
