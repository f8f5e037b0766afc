"""Run programs on this machine; a failure becomes one line."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from opstasks.sandbox.errors import SandboxError

# Debian keeps debootstrap and dockerd in folders that are not in an ordinary PATH.
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def which(program: str) -> str | None:
    """Where a program is, administrators' directories included."""
    return shutil.which(program, path=PATH)


def attempt(
    argv: Sequence[str],
    *,
    stdin: bytes | str | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program and return its outcome, also a failure; only a missing program is an error."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    where: dict[str, bytes | int] = {"stdin": subprocess.DEVNULL} if data is None else {}
    try:
        done = subprocess.run(
            argv,
            input=data,
            capture_output=True,
            check=False,
            env={**os.environ, "PATH": PATH, **(env or {})},
            timeout=timeout_s,
            **where,  # type: ignore[call-overload]
        )
    except FileNotFoundError as error:
        raise SandboxError(f"{argv[0]} is not installed", f"apt-get install {argv[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise SandboxError(f"{' '.join(argv[:3])} took longer than {timeout_s} s") from error
    out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(argv, done.returncode, out, err)


def run(
    argv: Sequence[str],
    *,
    stdin: bytes | str | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> str:
    """Run a program that must succeed; returns its output."""
    done = attempt(argv, stdin=stdin, env=env, timeout_s=timeout_s)
    if done.returncode != 0:
        raise SandboxError(f"{' '.join(argv[:3])} ...: exit {done.returncode}: {last_line(done)}")
    return done.stdout


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line with text, which usually has the reason."""
    lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def as_root(argv: Sequence[str]) -> list[str]:
    """The command with root's rights: unchanged for root, else through sudo."""
    if os.geteuid() == 0:
        return list(argv)
    if which("sudo") and attempt(["sudo", "-n", "true"]).returncode == 0:
        return ["sudo", "-n", *argv]
    raise SandboxError(f"{argv[0]} needs root", "run as root, or `sudo -v` first")
