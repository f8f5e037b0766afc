"""Runs on the host: commands and their results."""

import subprocess
from typing import Any

from opstasks.onhost.protocol import HostFailure


def call(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command and keep its output; raises what `subprocess.run` raises."""
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run(
        args, capture_output=True, text=True, errors="replace", check=False, **options
    )


def attempt(*args: str, timeout_s: float, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command; exit code 127 for a missing command, 124 for one that takes too long."""
    try:
        return call(*args, timeout=timeout_s, **options)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(args, 124, "", f"no answer within {timeout_s:g} s")
    except OSError as error:
        return subprocess.CompletedProcess(args, 127, "", str(error))


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that explain a failure."""
    return (done.stderr.strip() or done.stdout.strip()).splitlines()


def required(reason: str, *args: str, **options: Any) -> str:
    """Run a command that must succeed; returns what it printed. Raises HostFailure."""
    try:
        done = call(*args, **options)
    except (OSError, subprocess.SubprocessError) as error:
        raise HostFailure(reason, f"{type(error).__name__}: {error}") from error
    if done.returncode:
        raise HostFailure(reason, "\n".join(said(done)[-12:]))
    return done.stdout.strip()
