"""The real programs as processes, with the inventory of a test file's `fleet`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
