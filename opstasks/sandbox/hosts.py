"""The hosts of one instance: their network, containers and volumes."""

from __future__ import annotations

import io
import ipaddress
import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opstasks.sandbox import image
from opstasks.sandbox.engine import docker, inspect, labelled, try_docker
from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.shell import attempt, last_line
from opstasks.sandbox.state import LABEL, State, host_key, public_key

ROLE = f"{LABEL}.role"
NAME = f"{LABEL}.name"
USERS = {"ops": 1000, "dev": 1001}
JOB_SERVER_PORT = 8000
# The last number of an address: the job-server's, and what a host's number is added to.
JOB_SERVER, FIRST_HOST = 10, 10
LIMIT = 200


@dataclass(frozen=True)
class HostInfo:
    """One host as the outside sees it."""

    name: str
    container: str
    address: str
    port: int = 22
    user: str = "ops"
    running: bool = True
    host_key: str = ""
    # Whether it was made by the recipe as it is now.
    current: bool = True


def network_name(state: State) -> str:
    """The engine's name for the instance's network."""
    return state.named("net")


def ensure_network(state: State) -> ipaddress.IPv4Network:
    """The instance's subnet; the network is made if absent.

    Fixed addresses need a network whose subnet was asked for by name, so the engine is let
    choose a free one first and that one is then asked for.
    """
    name = network_name(state)
    for _ in range(5):
        found = inspect("network", [name])
        if found:
            return ipaddress.IPv4Network(found[0]["IPAM"]["Config"][0]["Subnet"])
        probe = docker("network", "create", "--label", state.label, f"{name}-probe")
        subnet = inspect("network", [probe])[0]["IPAM"]["Config"][0]["Subnet"]
        docker("network", "rm", probe)
        # A second instance may take the same subnet in between: then try again.
        try_docker(
            *("network", "create", "--label", state.label, "--subnet", subnet),
            *(["--internal"] if sealed() else []),
            name,
        )
    raise SandboxError("cannot make a network", "docker network prune")


def sealed() -> bool:
    """Whether hosts are kept from the world, so that no test ever meets the real job-server."""
    return not os.environ.get("OPSTASKS_SANDBOX_INTERNET")


def address(subnet: ipaddress.IPv4Network, number: int) -> str:
    """The address with this number in the instance's network."""
    return str(subnet.network_address + number)


def existing(state: State) -> list[HostInfo]:
    """Every host of the instance, running or not, by number.

    One that never ran was interrupted in the making, and does not count.
    """
    found = inspect("container", labelled("container", state.label))
    hosts = [info(state, item) for item in found if is_host(item)]
    return sorted(hosts, key=lambda host: number(host.name))


def is_host(item: dict[str, Any]) -> bool:
    """Whether a container is one of the hosts, and whole."""
    role, status = item["Config"]["Labels"].get(ROLE), item["State"]["Status"]
    return bool(role == "host" and status != "created")


def number(name: str) -> int:
    """The 2 of sandbox-2."""
    return int(name.rpartition("-")[2])


def info(state: State, item: dict[str, Any]) -> HostInfo:
    """What the engine says about a container, as a host."""
    name = item["Config"]["Labels"][NAME]
    endpoint = item["NetworkSettings"]["Networks"][network_name(state)]
    return HostInfo(
        name=name,
        container=item["Name"].lstrip("/"),
        address=endpoint["IPAMConfig"]["IPv4Address"],
        running=bool(item["State"]["Running"]),
        host_key=public_key(state.directory / "host-keys" / name),
        current=item["Config"]["Image"] == image.host_tag(),
    )


def create(state: State, subnet: ipaddress.IPv4Network, name: str) -> HostInfo:
    """Make a host from nothing and start it."""
    container, volume = state.named(name), state.named(f"{name}-docker")
    own = address(subnet, FIRST_HOST + number(name))
    # What an interrupted attempt left.
    try_docker("rm", "--force", container)
    try_docker("volume", "rm", "--force", volume)
    docker("volume", "create", "--label", state.label, volume)
    image.fill_volume(volume)
    docker(
        *("create", "--name", container, "--hostname", name, "--restart", "always"),
        *("--label", state.label, "--label", f"{ROLE}=host", "--label", f"{NAME}={name}"),
        *("--network", network_name(state), "--ip", own),
        *("--add-host", f"job-server:{address(subnet, JOB_SERVER)}"),
        *image.MACHINE,
        *("--volume", f"{volume}:{image.NESTED}", image.host_tag()),
    )
    docker("cp", "-", f"{container}:/", stdin=personal_files(state, name))
    docker("start", container)
    return HostInfo(name, container, own, host_key=public_key(host_key(state, name)))


def personal_files(state: State, name: str) -> bytes:
    """What makes a host this instance's: its own key, its users' keys, the sudo password."""
    key = host_key(state, name)
    password = (state.directory / "sudo-password").read_text().strip()
    authorized = state.identity.with_suffix(".pub").read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add(tar, "etc/ssh/ssh_host_ed25519_key", key.read_bytes(), 0o600)
        add(tar, "etc/ssh/ssh_host_ed25519_key.pub", key.with_suffix(".pub").read_bytes(), 0o644)
        add(tar, "etc/sandbox", None, 0o700)
        if sealed():
            add(tar, "etc/sandbox/sealed", b"", 0o644)
        add(tar, "etc/sandbox/passwords", f"dev:{password}\n".encode(), 0o600)
        for user, uid in USERS.items():
            add(tar, f"home/{user}/.ssh/authorized_keys", authorized, 0o600, uid)
    return buffer.getvalue()


def add(tar: tarfile.TarFile, path: str, data: bytes | None, mode: int, uid: int = 0) -> None:
    """Put a file (without data: a directory) into an archive."""
    entry = tarfile.TarInfo(path)
    entry.mode, entry.uid, entry.gid, entry.mtime = mode, uid, uid, int(time.time())
    if data is None:
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
    else:
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))


def ensure_job_server(state: State, subnet: ipaddress.IPv4Network) -> None:
    """The stub job-server, in a container that runs nothing else."""
    name = state.named("job-server")
    found = inspect("container", [name])
    if found and found[0]["State"]["Status"] != "created":
        docker("start", name)
        return
    try_docker("rm", "--force", name)
    owner = state.job_server.stat()
    docker(
        *("create", "--name", name, "--hostname", "job-server", "--restart", "always", "--init"),
        *("--label", state.label, "--label", f"{ROLE}=job-server", "--label", f"{NAME}=job-server"),
        *("--network", network_name(state), "--ip", address(subnet, JOB_SERVER)),
        *("--user", f"{owner.st_uid}:{owner.st_gid}", "--entrypoint", "python3"),
        *("--volume", f"{state.job_server}:/data", image.host_tag()),
        *("/srv/job_server.py", "--data", "/data", "--port", str(JOB_SERVER_PORT)),
    )
    docker("cp", str(Path(__file__).with_name("job_server.py")), f"{name}:/srv/job_server.py")
    docker("start", name)


def wait_ready(host: HostInfo, timeout_s: float = 90) -> None:
    """Until sshd greets and systemd has nothing left to start."""
    deadline = time.monotonic() + timeout_s
    while not greets(host.address, host.port):
        if time.monotonic() > deadline:
            raise SandboxError(f"{host.name} does not answer", f"docker logs {host.container}")
        time.sleep(0.1)
    command = ["systemctl", "is-system-running", "--wait"]
    done = execute(host.container, command, timeout_s=timeout_s)
    if done.stdout.strip() != "running":
        failed = execute(host.container, ["systemctl", "--failed", "--plain", "--no-legend"])
        raise SandboxError(f"{host.name} is {last_line(done)}: {last_line(failed)}")


def greets(where: str, port: int) -> bool:
    """Whether an SSH server introduces itself there."""
    try:
        with socket.create_connection((where, port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def execute(
    container: str,
    argv: Sequence[str],
    *,
    user: str = "root",
    stdin: str | None = None,
    timeout_s: float | None = 120,
) -> subprocess.CompletedProcess[str]:
    """Run something in a container, apart from SSH and sudo: the observer's way in."""
    command = ["docker", "exec", "--interactive", "--user", user, container, *argv]
    return attempt(command, stdin=stdin, timeout_s=timeout_s)


@contextmanager
def expect_new_boot(host: HostInfo, timeout_s: float = 60) -> Iterator[None]:
    """Do something that restarts a host inside; leave when it has come back."""
    before = boot_id(host)
    yield
    deadline = time.monotonic() + timeout_s
    while boot_id(host) in ("", before):
        if time.monotonic() > deadline:
            raise SandboxError(f"{host.name} did not come back", f"docker logs {host.container}")
        time.sleep(0.2)
    wait_ready(host, timeout_s)


def boot_id(host: HostInfo) -> str:
    """The id of the present boot; empty while the host is down."""
    done = execute(host.container, ["cat", "/proc/sys/kernel/random/boot_id"])
    return done.stdout.strip() if done.returncode == 0 else ""


def remove(state: State) -> None:
    """Every container, volume and network of the instance."""
    for kind in ("container", "volume", "network"):
        found = labelled(kind, state.label)
        if found:
            options = ["--force", "--volumes"] if kind == "container" else []
            docker(kind, "rm", *options, *found)


def names(count: int) -> Iterable[str]:
    """sandbox-1 to sandbox-N."""
    if not 1 <= count <= LIMIT:
        raise SandboxError(f"{count} hosts is not between 1 and {LIMIT}")
    return [f"sandbox-{index}" for index in range(1, count + 1)]
