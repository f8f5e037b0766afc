"""The Docker engine of this machine: find it, install and start it, connect to it."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.shell import as_root, attempt, run, which

Report = Callable[[str], None]

LOG = Path("/var/log/opstasks-dockerd.log")
SOCKET = "unix:///var/run/docker.sock"
# The limit for one answer of the engine: importing an image or copying a volume takes long.
TIMEOUT_S = 600
TOOLS = {  # program: Debian package
    "debootstrap": "debootstrap",
    "ssh-keygen": "openssh-client",
    "git": "git",
}


def client() -> docker.DockerClient:
    """The connection to the engine; may be used from several threads.

    Raises SandboxError if the engine is not on this machine, DockerException if it does not
    answer.
    """
    return _client(address())


@functools.cache
def _client(where: str) -> docker.DockerClient:
    return docker.DockerClient(base_url=where, version="auto", timeout=TIMEOUT_S)


def address() -> str:
    """Where the engine listens: $DOCKER_HOST, or Docker's usual socket.

    Hosts are reached at their own addresses, so the engine has to be on this machine: raises
    SandboxError for anything but a unix socket.
    """
    chosen = os.environ.get("DOCKER_HOST") or SOCKET
    if not chosen.startswith("unix://"):
        raise SandboxError(f"DOCKER_HOST={chosen} is not on this machine", "unset DOCKER_HOST")
    return chosen


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn errors of the engine or the SDK into a SandboxError; also works as a decorator."""
    try:
        yield
    except (DockerException, RequestException, HTTPError) as error:
        raise SandboxError(f"Docker: {reason(error)}", log_hint()) from error


def reason(error: BaseException) -> str:
    """The message of an SDK error, in one line."""
    if isinstance(error, APIError) and error.explanation:
        return one_line(error.explanation)
    found: BaseException | None = error
    while found:
        # The system's error is at the end of the chain; errors of `requests` have no number.
        if isinstance(found, OSError) and found.errno:
            return f"cannot connect to {address()}: {found.strerror}"
        found = found.__cause__ or found.__context__
    return one_line(str(error))


def one_line(text: str) -> str:
    """Any text without its line breaks."""
    return " ".join(text.split())


def engine_problem() -> str:
    """Why the engine does not answer; empty if it does."""
    try:
        client().ping()
    except (DockerException, RequestException, HTTPError) as error:
        return reason(error)
    return ""


def ensure_engine(report: Report) -> None:
    """Make sure that an engine on this machine answers: install and start it if necessary."""
    problem = engine_problem()
    if not problem:
        return
    if "permission denied" in problem.lower():
        raise SandboxError("no right to use Docker", "run as root, or join the group docker")
    if not which("dockerd"):
        install(["docker.io"], report)
    if engine_problem():
        start_engine(report)


def start_engine(report: Report) -> None:
    """Start it through systemd if this machine uses it, else as our own daemon."""
    report("starting the Docker engine")
    if Path("/run/systemd/system").is_dir():
        run(as_root(["systemctl", "start", "docker"]))
    else:
        # In its own session; its pid file is /run/docker.pid.
        script = f"exec setsid dockerd >>{LOG} 2>&1 </dev/null &"
        run(as_root(["sh", "-c", script]))
    deadline = time.monotonic() + 60
    while problem := engine_problem():
        if time.monotonic() > deadline:
            raise SandboxError(f"the Docker engine did not start: {problem}", log_hint())
        time.sleep(0.5)


def log_hint() -> str:
    """Where the engine's log is."""
    return "journalctl -u docker" if Path("/run/systemd/system").is_dir() else f"see {LOG}"


def ensure_tools(report: Report) -> None:
    """Install missing programs that building needs."""
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
