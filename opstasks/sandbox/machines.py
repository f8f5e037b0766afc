"""The hosts of one instance: their network, containers and volumes."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker.errors import APIError
from docker.models.containers import Container
from docker.types import IPAMConfig, IPAMPool

from opstasks.sandbox import containers, recipe, template
from opstasks.sandbox.engine import client
from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.execute import execute
from opstasks.sandbox.instance import LABEL, SandboxInstance, host_key, public_key
from opstasks.sandbox.shell import last_line

ROLE = f"{LABEL}.role"
NAME = f"{LABEL}.name"
USERS = {"ops": 1000, "dev": 1001}
JOB_SERVER_NAME, JOB_SERVER_PORT = "job-server", 8000
# The last number of the job-server's address, and the number before the first host's.
JOB_SERVER, FIRST_HOST = 10, 10
LIMIT = 200


@dataclass(frozen=True)
class SandboxHost:
    """One host, as seen from this machine."""

    name: str
    container: str
    address: str
    port: int = 22
    user: str = "ops"
    running: bool = True
    host_key: str = ""
    # Whether it was made by the present recipe.
    current: bool = True


# -- the network -------------------------------------------------------------------------------


def network_name(here: SandboxInstance) -> str:
    """The engine's name for the instance's network."""
    return here.named("net")


def ensure_network(here: SandboxInstance) -> ipaddress.IPv4Network:
    """The instance's subnet; the network is made if missing.

    Fixed addresses need a network that was made with a subnet, so the engine first chooses a
    free one for a network that is removed again.
    """
    name = network_name(here)
    for _ in range(5):
        network = containers.find_or_none(client().networks.get, name)
        if network:
            return ipaddress.IPv4Network(subnet_of(network.attrs))
        probe = client().networks.create(f"{name}-probe", labels=here.labels)
        probe.reload()
        subnet = subnet_of(probe.attrs)
        probe.remove()
        try:
            pool = IPAMPool(subnet=subnet)
            client().networks.create(
                name,
                check_duplicate=True,
                internal=sealed(),
                ipam=IPAMConfig(pool_configs=[pool]),
                labels=here.labels,
            )
        except APIError:
            # Another instance may take the same subnet in between: then try again.
            continue
    raise SandboxError("cannot make a network", "docker network prune")


def subnet_of(network: dict[str, object]) -> str:
    """The subnet in the engine's description of a network."""
    match network:
        case {"IPAM": {"Config": [{"Subnet": str(subnet)}, *_]}}:
            return subnet
    raise SandboxError(f"the network {network.get('Name')} has no subnet")


def sealed() -> bool:
    """Whether hosts are kept from the internet, so that no test reaches the real job-server."""
    return not os.environ.get("OPSTASKS_SANDBOX_INTERNET")


def address(subnet: ipaddress.IPv4Network, number: int) -> str:
    """The address with this number in the instance's network."""
    return str(subnet.network_address + number)


# -- what exists -------------------------------------------------------------------------------


def existing(here: SandboxInstance) -> list[SandboxHost]:
    """Every host of the instance, running or not, by number.

    A container that never ran does not count: its creation was interrupted.
    """
    found = [
        describe(here, container)
        for container in containers.labelled(here.label)
        if container.labels.get(ROLE) == "host" and container.status != "created"
    ]
    return sorted(found, key=lambda host: number(host.name))


def number(name: str) -> int:
    """The 2 of sandbox-2."""
    return int(name.rpartition("-")[2])


def describe(here: SandboxInstance, container: Container) -> SandboxHost:
    """The host of a container."""
    name = container.labels[NAME]
    endpoint = container.attrs["NetworkSettings"]["Networks"][network_name(here)]
    return SandboxHost(
        name=name,
        container=str(container.name),
        address=endpoint["IPAMConfig"]["IPv4Address"],
        running=bool(container.attrs["State"]["Running"]),
        host_key=public_key(here.directory / "host-keys" / name),
        current=container.attrs["Config"]["Image"] == recipe.host_tag(),
    )


def names(count: int) -> Iterable[str]:
    """sandbox-1 to sandbox-N."""
    if not 1 <= count <= LIMIT:
        raise SandboxError(f"{count} hosts is not between 1 and {LIMIT}")
    return [f"sandbox-{index}" for index in range(1, count + 1)]


# -- making and removing -----------------------------------------------------------------------


def create(here: SandboxInstance, subnet: ipaddress.IPv4Network, name: str) -> None:
    """Make a host from nothing and start it."""
    container, volume = here.named(name), here.named(f"{name}-docker")
    # Remove the rest of an interrupted attempt.
    containers.discard_container(container)
    containers.discard_volume(volume)
    client().volumes.create(volume, labels=here.labels)
    template.fill_volume(volume)
    host_key(here, name)
    machine = containers.create_machine(
        recipe.host_tag(),
        volume,
        name=container,
        hostname=name,
        labels={**here.labels, ROLE: "host", NAME: name},
        addresses={network_name(here): address(subnet, FIRST_HOST + number(name))},
        network_mode=network_name(here),
        extra_hosts={JOB_SERVER_NAME: address(subnet, JOB_SERVER)},
        restart_policy={"Name": "always"},
    )
    personal_files(here, name).unpack_in(machine)
    machine.start()


def personal_files(here: SandboxInstance, name: str) -> containers.ContainerFiles:
    """The instance's files on a host: its host key, its users' keys, the sudo password."""
    key = host_key(here, name)
    password = (here.directory / "sudo-password").read_text().strip()
    authorized = here.identity.with_suffix(".pub").read_bytes()
    files = containers.ContainerFiles()
    files.add("etc/ssh/ssh_host_ed25519_key", key.read_bytes(), 0o600)
    files.add("etc/ssh/ssh_host_ed25519_key.pub", key.with_suffix(".pub").read_bytes(), 0o644)
    files.add("etc/sandbox", None, 0o700)
    if sealed():
        files.add("etc/sandbox/sealed", b"", 0o644)
    files.add("etc/sandbox/passwords", f"dev:{password}\n".encode(), 0o600)
    for user, uid in USERS.items():
        files.add(f"home/{user}/.ssh/authorized_keys", authorized, 0o600, uid)
    return files


def ensure_job_server(here: SandboxInstance, subnet: ipaddress.IPv4Network) -> None:
    """Make the stub job-server run in its own container."""
    name = here.named(JOB_SERVER_NAME)
    found = containers.find_or_none(client().containers.get, name)
    if found and found.status != "created":
        found.start()
        return
    containers.discard_container(name)
    owner = here.job_server.stat()
    endpoint = client().api.create_endpoint_config(ipv4_address=address(subnet, JOB_SERVER))
    container = client().containers.create(
        recipe.host_tag(),
        ["/srv/job_server.py", "--data", "/data", "--port", str(JOB_SERVER_PORT)],
        entrypoint="python3",
        hostname=JOB_SERVER_NAME,
        init=True,
        labels={**here.labels, ROLE: JOB_SERVER_NAME, NAME: JOB_SERVER_NAME},
        name=name,
        network=network_name(here),
        networking_config={network_name(here): endpoint},
        restart_policy={"Name": "always"},
        user=f"{owner.st_uid}:{owner.st_gid}",
        volumes=[f"{here.job_server}:/data"],
    )
    files = containers.ContainerFiles()
    files.add("srv/job_server.py", Path(__file__).with_name("job_server.py").read_bytes(), 0o644)
    files.unpack_in(container)
    container.start()


def remove(here: SandboxInstance) -> None:
    """Remove every container, volume and network of the instance."""
    wanted = {"label": here.label}
    for container in containers.labelled(here.label):
        container.remove(force=True, v=True)
    for volume in client().volumes.list(filters=wanted):
        volume.remove()
    for network in client().networks.list(filters=wanted):
        network.remove()


# -- waiting -----------------------------------------------------------------------------------


def wait_ready(host: SandboxHost, timeout_s: float = 90) -> None:
    """Wait until sshd answers and systemd has started everything."""
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


@contextmanager
def expect_new_boot(host: SandboxHost, timeout_s: float = 60) -> Iterator[None]:
    """Around an action that restarts a host: wait at the end until the host is back."""
    before = boot_id(host)
    yield
    deadline = time.monotonic() + timeout_s
    while boot_id(host) in ("", before):
        if time.monotonic() > deadline:
            raise SandboxError(f"{host.name} did not come back", f"docker logs {host.container}")
        time.sleep(0.2)
    wait_ready(host, timeout_s)


def boot_id(host: SandboxHost) -> str:
    """The id of the present boot; empty while the host is down."""
    done = execute(host.container, ["cat", "/proc/sys/kernel/random/boot_id"])
    return done.stdout.strip() if done.returncode == 0 else ""
