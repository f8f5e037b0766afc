"""The files that tell opstasks and OpenSSH where the hosts are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from opstasks.sandbox.hosts import HostInfo
from opstasks.sandbox.state import State, write

BACKEND = "sandbox"
# Hosts inside containers may not hand out every right, as --privileged does.
TOOLS = "[--cap-add=ALL, --cap-drop=SYS_RESOURCE, --security-opt=seccomp=unconfined, --pid=host]"


def fragment(group: str, hosts: Sequence[HostInfo], identity: Path, *, backend: str = "") -> str:
    """A group and its hosts as YAML; scalars are quoted as JSON does, which YAML reads."""
    listed = ", ".join(host.name for host in hosts)
    lines = ["groups:", f"  {group}:", f"    hosts: [{listed}]", "hosts:"]
    for host in hosts:
        lines += [
            f"  {host.name}:",
            f"    address: {json.dumps(host.address)}",
            f"    port: {host.port}",
            f"    user: {host.user}",
            *([f"    backend: {backend}"] if backend else []),
            f"    identity_file: {json.dumps(str(identity))}",
            f"    host_keys: [{json.dumps(host.host_key)}]",
            *(["    sudo: nopasswd", f"    tools_run_args: {TOOLS}"] if backend else []),
        ]
    return "\n".join(lines) + "\n"


def write_all(state: State, hosts: Sequence[HostInfo]) -> None:
    """The inventory fragment, the SSH files and the job-server's address book."""
    known = state.directory / "known_hosts"
    write(known, known_hosts(hosts))
    write(state.directory / "ssh_config", ssh_config(state, hosts, known))
    book = {host.address: host.name for host in hosts}
    # The job-server's container runs as this directory's owner, so it can read 0600.
    write(state.job_server / "hosts.json", json.dumps(book))
    write(
        state.directory / "hosts.yaml",
        fragment("sandbox", hosts, state.identity, backend=BACKEND),
    )


def known_hosts(hosts: Sequence[HostInfo]) -> str:
    """The pinned keys in OpenSSH's form."""
    return "".join(f"{place(host)} {host.host_key}\n" for host in hosts)


def place(host: HostInfo) -> str:
    """OpenSSH writes the standard port without ornament, and looks for it so."""
    return host.address if host.port == 22 else f"[{host.address}]:{host.port}"


def ssh_config(state: State, hosts: Sequence[HostInfo], known: Path) -> str:
    """What `ssh -F` needs to reach each host by name, and nothing of the user's own."""
    lines: list[str] = []
    for host in hosts:
        lines += [f"Host {host.name}", f"  HostName {host.address}", f"  Port {host.port}"]
    lines += [
        "Host *",
        f"  User {hosts[0].user}",
        f'  IdentityFile "{state.identity}"',
        "  IdentitiesOnly yes",
        f'  UserKnownHostsFile "{known}"',
        "  StrictHostKeyChecking yes",
    ]
    return "\n".join(lines) + "\n"
