"""The real programs as processes, with the inventory of a test file's `fleet`."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from opstasks.cli.program import CommandLine, Executor
from opstasks.namespace import namespace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def program(tmp_path, fleet):
    """Run `inv` in the project's folder, or `opstasks` in a folder without the project."""

    def run(*argv, name="inv", cwd=ROOT, env=None, **more):
        command = [str(Path(sys.executable).with_name(name)), *argv]
        settings = {"OPSTASKS_HOSTS": str(fleet), "XDG_STATE_HOME": str(tmp_path / "state")}
        return subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **settings, **(env or {})},
            **{"stdin": subprocess.DEVNULL, **more},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@dataclass
class Ended:
    """How a run in this process ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run_here(tmp_path, fleet, monkeypatch, capsys):
    """Run `inv` in this process; much faster than `program`, for tests over all tasks."""
    monkeypatch.setenv("OPSTASKS_HOSTS", str(fleet))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*argv):
        words = ["inv", *argv]
        monkeypatch.setattr(sys, "argv", words)
        program = CommandLine(
            name="opstasks", binary="opstasks", namespace=namespace, executor_class=Executor
        )
        try:
            program.run(words)
            code = 0
        except SystemExit as end:
            code = end.code or 0
        done = capsys.readouterr()
        return Ended(code, done.out, done.err)

    return run
