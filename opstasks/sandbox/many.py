"""Many cheap hosts for fan-out: one sshd that answers on hundreds of loopback addresses.

They only allow logins: no sudo, no systemd, no Docker. The account's shell is dash without start-up
files, so that measurements do not include the shell's own start.
"""

from __future__ import annotations

import socket
import time

from opstasks.sandbox import caches, containers, instance, recipe
from opstasks.sandbox.api import silent
from opstasks.sandbox.engine import (
    Report,
    client,
    engine_errors,
    engine_problem,
    ensure_engine,
    ensure_tools,
)
from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.instance import SandboxInstance, host_key, prepare, public_key
from opstasks.sandbox.inventory import fragment, known_hosts, ssh_config
from opstasks.sandbox.machines import ROLE, SandboxHost, greets

GROUP, USER, UID = "many", "many", 1002
PORT = f"{ROLE}.port"
LIMIT = 250
# Only this machine may log in, although sshd has to listen on every address: it accepts at most
# sixteen ListenAddress lines.
SSHD = """
ListenAddress 0.0.0.0
HostKey /etc/ssh/ssh_host_ed25519_key
AllowUsers many@127.0.0.0/8
AuthenticationMethods publickey
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 1000
MaxSessions 100
LogLevel ERROR
Subsystem sftp internal-sftp
"""


@engine_errors()
def many_up(count: int = LIMIT, report: Report = silent) -> list[SandboxHost]:
    """Serve this many hosts, many-1 to many-N."""
    if not 1 <= count <= LIMIT:
        raise SandboxError(f"{count} hosts is not between 1 and {LIMIT}")
    ensure_engine(report)
    here = instance.current()
    with instance.locked(here.directory / ".lock"):
        ensure_tools(report)
        caches.ensure(report)
        prepare(here)
        port = running_port(here) or serve(here)
        key = public_key(host_key(here, GROUP))
        hosts = [cheap_host(here, number, port, key) for number in range(1, count + 1)]
        describe(here, hosts)
        return hosts


def describe(here: SandboxInstance, hosts: list[SandboxHost]) -> None:
    """Write the inventory fragment, and the files for plain ssh."""
    known = here.directory / "many_known_hosts"
    instance.write(here.directory / "many.yaml", fragment(GROUP, hosts, here.identity))
    instance.write(known, known_hosts(hosts))
    instance.write(here.directory / "many_ssh_config", ssh_config(here, hosts, known))


def cheap_host(here: SandboxInstance, number: int, port: int, key: str) -> SandboxHost:
    """One loopback address of the shared sshd."""
    where = f"127.0.2.{number}"
    return SandboxHost(f"{GROUP}-{number}", here.named(GROUP), where, port, USER, host_key=key)


def running_port(here: SandboxInstance) -> int:
    """The port of an existing sshd that answers; else 0."""
    found = containers.find_or_none(client().containers.get, here.named(GROUP))
    port = int(found.labels.get(PORT, 0)) if found else 0
    return port if port and greets("127.0.2.1", port) else 0


def serve(here: SandboxInstance) -> int:
    """Start the sshd on a free port of this machine."""
    port = free_port()
    name = here.named(GROUP)
    containers.discard_container(name)
    container = client().containers.create(
        recipe.host_tag(),
        ["-D", "-e", "-f", "/etc/ssh/many_config", "-p", str(port)],
        entrypoint="/usr/sbin/sshd",
        init=True,
        labels={**here.labels, ROLE: GROUP, PORT: str(port)},
        name=name,
        network_mode="host",
        restart_policy={"Name": "always"},
    )
    files(here).unpack_in(container)
    container.start()
    deadline = time.monotonic() + 20
    while not greets("127.0.2.1", port):
        if time.monotonic() > deadline:
            raise SandboxError("the many hosts do not answer", f"docker logs {name}")
        time.sleep(0.1)
    return port


def files(here: SandboxInstance) -> containers.ContainerFiles:
    """The sshd's configuration and key, and who may log in."""
    found = containers.ContainerFiles()
    found.add("etc/ssh/many_config", SSHD.encode(), 0o644)
    found.add("etc/ssh/ssh_host_ed25519_key", host_key(here, GROUP).read_bytes(), 0o600)
    found.add("run/sshd", None, 0o755)
    authorized = here.identity.with_suffix(".pub").read_bytes()
    found.add(f"home/{USER}/.ssh/authorized_keys", authorized, 0o600, UID)
    return found


def free_port() -> int:
    """A free port of this machine."""
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104
        return int(listener.getsockname()[1])


@engine_errors()
def many_down() -> None:
    """Stop serving; full hosts of the instance stay."""
    here = instance.current()
    if not engine_problem():
        containers.discard_container(here.named(GROUP))
    for name in ("many.yaml", "many_ssh_config", "many_known_hosts"):
        (here.directory / name).unlink(missing_ok=True)
