"""The files that tell opstasks and OpenSSH where the hosts are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from opstasks.sandbox.instance import SandboxInstance, write
from opstasks.sandbox.machines import SandboxHost

BACKEND = "sandbox"
# The description of these hosts and the keys of its sample people; not for other hosts.
BACKENDS = Path(__file__).resolve().parent / "backends"
# Hosts in containers cannot grant every right, as --privileged does.
TOOLS = "[--cap-add=ALL, --cap-drop=SYS_RESOURCE, --security-opt=seccomp=unconfined, --pid=host]"


def fragment(group: str, hosts: Sequence[SandboxHost], identity: Path, *, backend: str = "") -> str:
    """A group and its hosts as YAML; scalars are quoted as JSON does, which YAML reads."""
    listed = ", ".join(host.name for host in hosts)
    described = [f"    backend: {backend}", f"    backends: {json.dumps(str(BACKENDS))}"]
    lines = ["groups:", f"  {group}:", f"    hosts: [{listed}]", "hosts:"]
    for host in hosts:
        lines += [
            f"  {host.name}:",
            f"    address: {json.dumps(host.address)}",
            f"    port: {host.port}",
            f"    user: {host.user}",
            *(described if backend else []),
            f"    identity_file: {json.dumps(str(identity))}",
            f"    host_keys: [{json.dumps(host.host_key)}]",
            *(["    sudo: nopasswd", f"    tools_run_args: {TOOLS}"] if backend else []),
        ]
    return "\n".join(lines) + "\n"


def write_all(here: SandboxInstance, hosts: Sequence[SandboxHost]) -> None:
    """The inventory fragment, the SSH files and the job-server's address book."""
    known = here.directory / "known_hosts"
    write(known, known_hosts(hosts))
    write(here.directory / "ssh_config", ssh_config(here, hosts, known))
    book = {host.address: host.name for host in hosts}
    # The job-server's container runs as this directory's owner, so it can read 0600.
    write(here.job_server / "hosts.json", json.dumps(book))
    write(
        here.directory / "hosts.yaml",
        fragment("sandbox", hosts, here.identity, backend=BACKEND),
    )


def known_hosts(hosts: Sequence[SandboxHost]) -> str:
    """The pinned keys in OpenSSH's form."""
    return "".join(f"{place(host)} {host.host_key}\n" for host in hosts)


def place(host: SandboxHost) -> str:
    """An address as in OpenSSH's known_hosts: the standard port is left out."""
    return host.address if host.port == 22 else f"[{host.address}]:{host.port}"


def ssh_config(here: SandboxInstance, hosts: Sequence[SandboxHost], known: Path) -> str:
    """The file for `ssh -F` that reaches each host by name, without the user's own settings."""
    lines: list[str] = []
    for host in hosts:
        lines += [f"Host {host.name}", f"  HostName {host.address}", f"  Port {host.port}"]
    lines += [
        "Host *",
        f"  User {hosts[0].user}",
        f'  IdentityFile "{here.identity}"',
        "  IdentitiesOnly yes",
        f'  UserKnownHostsFile "{known}"',
        "  StrictHostKeyChecking yes",
    ]
    return "\n".join(lines) + "\n"
