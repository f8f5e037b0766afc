"""The Docker engine of this machine: find it, start it, talk to it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.shell import as_root, attempt, last_line, run, which

Report = Callable[[str], None]

LOG = Path("/var/log/opstasks-dockerd.log")
TOOLS = {  # program: Debian package
    "debootstrap": "debootstrap",
    "ssh-keygen": "openssh-client",
    "git": "git",
}


def docker(*argv: str, stdin: bytes | str | None = None, timeout_s: float = 600) -> str:
    """One docker command that must succeed; what it printed, trimmed."""
    return run(["docker", *argv], stdin=stdin, timeout_s=timeout_s).strip()


def try_docker(*argv: str, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
    """One docker command that may fail."""
    return attempt(["docker", *argv], timeout_s=timeout_s)


def inspect(kind: str, names: Iterable[str]) -> list[dict[str, Any]]:
    """What the engine knows of these objects; absent ones are left out."""
    wanted = list(names)
    if not wanted:
        return []
    found: list[dict[str, Any]] = json.loads(try_docker(kind, "inspect", *wanted).stdout or "[]")
    return found


def labelled(kind: str, label: str) -> list[str]:
    """Ids (volumes: names) of all containers, networks, volumes or images with a label."""
    every = ["--all"] if kind == "container" else []
    return docker(kind, "ls", *every, "--quiet", "--filter", f"label={label}").split()


def image_exists(tag: str) -> bool:
    """Whether an image is there under this tag."""
    return bool(docker("image", "ls", "--quiet", tag))


def ensure_tools(report: Report) -> None:
    """Install what building needs and this machine lacks."""
    missing = [package for program, package in TOOLS.items() if not which(program)]
    if missing:
        install(missing, report)


def install(packages: list[str], report: Report) -> None:
    """Install Debian packages, with fresh lists when the first attempt fails."""
    if not which("apt-get"):
        raise SandboxError("no apt-get here", f"install by hand: {' '.join(packages)}")
    report(f"installing {' '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    command = as_root(["apt-get", "install", "-y", "--no-install-recommends", *packages])
    if attempt(command, env=quiet).returncode != 0:
        run(as_root(["apt-get", "update"]), env=quiet)
        run(command, env=quiet)


def ensure_engine(report: Report) -> None:
    """A local engine that answers: installed and started here if need be."""
    problem = engine_problem()
    if not problem:
        return
    refuse_remote()
    if "permission denied" in problem.lower():
        raise SandboxError("no right to use Docker", "run as root, or join the group docker")
    if not which("dockerd") or not which("docker"):
        install(["docker.io"], report)
    if engine_problem():
        start_engine(report)


def engine_problem() -> str:
    """Why the engine does not answer; empty when it does."""
    if not which("docker"):
        return "docker is not installed"
    refuse_remote()
    asked = try_docker("version", "--format", "{{.Server.Version}}", timeout_s=30)
    return "" if asked.returncode == 0 else last_line(asked)


def refuse_remote() -> None:
    """Hosts are reached at their own addresses, so the engine has to be on this machine."""
    chosen = os.environ.get("DOCKER_HOST", "unix://")
    if not chosen.startswith("unix://"):
        raise SandboxError(f"DOCKER_HOST={chosen} is not on this machine", "unset DOCKER_HOST")


def start_engine(report: Report) -> None:
    """Through systemd where it runs this machine, else as a daemon of our own."""
    report("starting the Docker engine")
    if Path("/run/systemd/system").is_dir():
        run(as_root(["systemctl", "start", "docker"]))
    else:
        spawn_engine()
    deadline = time.monotonic() + 60
    while engine_problem():
        if time.monotonic() > deadline:
            raise SandboxError(
                f"the Docker engine did not start: {engine_problem()}", where_to_look()
            )
        time.sleep(0.5)


def where_to_look() -> str:
    """Where the engine says why it did not start."""
    return "journalctl -u docker" if Path("/run/systemd/system").is_dir() else f"see {LOG}"


def spawn_engine() -> None:
    """Start dockerd apart from this process; it keeps its own pid file in /run/docker.pid."""
    script = f"exec setsid dockerd >>{LOG} 2>&1 </dev/null &"
    run(as_root(["sh", "-c", script]))
