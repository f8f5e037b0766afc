"""Many cheap hosts for fan-out: one sshd that answers on hundreds of loopback addresses.

They can be logged in to and no more: no sudo, no systemd, no Docker. The account's shell is dash
without start-up files, so that what is measured is not the shell's own start.
"""

from __future__ import annotations

import io
import socket
import tarfile
import time

from opstasks.sandbox import image, state
from opstasks.sandbox.api import silent
from opstasks.sandbox.engine import Report, docker, ensure_engine, ensure_tools, inspect, try_docker
from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.hosts import ROLE, HostInfo, add, greets
from opstasks.sandbox.inventory import fragment, known_hosts, ssh_config
from opstasks.sandbox.state import State, host_key, prepare, public_key

GROUP, USER, UID = "many", "many", 1002
LIMIT = 250
# Only this machine may log in, although sshd has to listen on every address: it can name at
# most sixteen.
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


def many_up(count: int = LIMIT, report: Report = silent) -> list[HostInfo]:
    """Serve this many hosts, many-1 to many-N."""
    if not 1 <= count <= LIMIT:
        raise SandboxError(f"{count} hosts is not between 1 and {LIMIT}")
    ensure_engine(report)
    here = state.current()
    with state.locked(here.directory / ".lock"):
        ensure_tools(report)
        image.ensure(report)
        prepare(here)
        port = running_port(here) or serve(here)
        key = public_key(host_key(here, GROUP))
        hosts = [cheap_host(here, number, port, key) for number in range(1, count + 1)]
        describe(here, hosts)
        return hosts


def describe(here: State, hosts: list[HostInfo]) -> None:
    """Write the inventory fragment, and what plain ssh needs."""
    known = here.directory / "many_known_hosts"
    state.write(here.directory / "many.yaml", fragment(GROUP, hosts, here.identity))
    state.write(known, known_hosts(hosts))
    state.write(here.directory / "many_ssh_config", ssh_config(here, hosts, known))


def cheap_host(here: State, number: int, port: int, key: str) -> HostInfo:
    """One loopback address of the shared sshd."""
    where = f"127.0.2.{number}"
    return HostInfo(f"{GROUP}-{number}", here.named(GROUP), where, port, USER, host_key=key)


def running_port(here: State) -> int:
    """The port of the sshd that is already there and answers; else 0."""
    found = inspect("container", [here.named(GROUP)])
    port = int(found[0]["Config"]["Labels"].get(f"{ROLE}.port", 0)) if found else 0
    return port if port and greets("127.0.2.1", port) else 0


def serve(here: State) -> int:
    """Start the sshd on a free port of this machine."""
    port = free_port()
    name = here.named(GROUP)
    try_docker("rm", "--force", name)
    docker(
        *("create", "--name", name, "--network", "host", "--init", "--restart", "always"),
        *("--label", here.label, "--label", f"{ROLE}={GROUP}", "--label", f"{ROLE}.port={port}"),
        *("--entrypoint", "/usr/sbin/sshd", image.host_tag()),
        *("-D", "-e", "-f", "/etc/ssh/many_config", "-p", str(port)),
    )
    docker("cp", "-", f"{name}:/", stdin=files(here))
    docker("start", name)
    deadline = time.monotonic() + 20
    while not greets("127.0.2.1", port):
        if time.monotonic() > deadline:
            raise SandboxError("the many hosts do not answer", f"docker logs {name}")
        time.sleep(0.1)
    return port


def files(here: State) -> bytes:
    """The sshd's configuration and key, and who may log in."""
    key = host_key(here, GROUP).read_bytes()
    authorized = here.identity.with_suffix(".pub").read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add(tar, "etc/ssh/many_config", SSHD.encode(), 0o644)
        add(tar, "etc/ssh/ssh_host_ed25519_key", key, 0o600)
        add(tar, "run/sshd", None, 0o755)
        add(tar, f"home/{USER}/.ssh/authorized_keys", authorized, 0o600, UID)
    return buffer.getvalue()


def free_port() -> int:
    """A port that nothing on this machine listens on."""
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104
        return int(listener.getsockname()[1])


def many_down() -> None:
    """Stop serving; full hosts of the instance stay."""
    here = state.current()
    try_docker("rm", "--force", here.named(GROUP))
    for name in ("many.yaml", "many_ssh_config", "many_known_hosts"):
        (here.directory / name).unlink(missing_ok=True)
