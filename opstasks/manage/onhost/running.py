"""Runs on the host as root: commands that must succeed."""

import os
from pathlib import Path
from typing import Any

from opstasks.onhost.commands import required


def run(*args: str, **options: Any) -> str:
    """Run a command that must succeed; returns its output. Raises HostFailure."""
    return required(f"{args[0]} failed", *args, **options)


def as_user(owner: str, *args: str) -> str:
    """Run a command as an account, with its own home and without root's environment."""
    home = str(Path(f"~{owner}").expanduser())
    clean = ["env", "-i", f"HOME={home}", f"USER={owner}", f"PATH={os.environ['PATH']}"]
    return run("runuser", "-u", owner, "--", *clean, *args, cwd=home, timeout=1800)
