"""The hosts of a row, and the files that describe them to each tool."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from opstasks.sandbox import instance
from opstasks.sandbox.inventory import fragment, known_hosts, ssh_config
from opstasks.sandbox.machines import SandboxHost

# The usual time limit of our own connections, in seconds; every tool gets the same.
CONNECT_S = 10


@dataclass(frozen=True)
class Targets:
    """A folder with an inventory for each tool: all use the same key and check the host keys."""

    folder: Path
    hosts: tuple[SandboxHost, ...]

    @property
    def settings(self) -> Path:
        """For the programs in bench/clients."""
        return self.folder / "settings.json"

    @property
    def inventory(self) -> Path:
        """For opstasks."""
        return self.folder / "hosts.yaml"

    @property
    def ssh_config(self) -> Path:
        """For OpenSSH and ClusterShell."""
        return self.folder / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        """The host keys."""
        return self.folder / "known_hosts"

    @property
    def names(self) -> Path:
        """The hosts' names, one per line."""
        return self.folder / "names"

    @property
    def pyinfra(self) -> Path:
        """For pyinfra."""
        return self.folder / "inventory.py"

    @property
    def ansible(self) -> Path:
        """For Ansible."""
        return self.folder / "ansible.yml"

    @property
    def env(self) -> dict[str, str]:
        """A home without a person's settings; Ansible's folders."""
        home = str(self.folder)
        return {
            "HOME": home,
            "XDG_STATE_HOME": home,
            "ANSIBLE_HOME": home,
            "ANSIBLE_CONFIG": f"{home}/ansible.cfg",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{home}/cp",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": "32",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_TIMEOUT": str(CONNECT_S),
        }


def through(host: SandboxHost, port: int) -> SandboxHost:
    """The same host behind a proxy on this machine."""
    return replace(host, address="127.0.0.1", port=port)


@contextlib.contextmanager
def described(hosts: Sequence[SandboxHost], **ours: str) -> Iterator[Targets]:
    """Write the files for some hosts; `ours` are more keys of hosts.yaml."""
    identity = instance.current().identity
    # A short path: SSH's control sockets have a limit of 100 bytes.
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as name:
        made = Targets(Path(name), tuple(hosts))
        made.known_hosts.write_text(known_hosts(hosts))
        made.names.write_text("".join(f"{host.name}\n" for host in hosts))
        text = ssh_config(instance.current(), hosts, made.known_hosts)
        made.ssh_config.write_text(f"{text}  ConnectTimeout {CONNECT_S}\n")
        inventory = yaml.safe_load(fragment("many", hosts, identity))
        for host in inventory["hosts"].values():
            host |= ours
        made.inventory.write_text(yaml.safe_dump(inventory))
        made.settings.write_text(json.dumps(for_clients(made, identity)))
        made.pyinfra.write_text(f"hosts = {for_pyinfra(made, identity)!r}\n")
        made.ansible.write_text(yaml.safe_dump(for_ansible(made, identity)))
        (made.folder / "ansible.cfg").touch()
        yield made


def for_clients(made: Targets, identity: Path) -> dict[str, object]:
    """The settings of the programs in bench/clients."""
    return {
        "user": made.hosts[0].user,
        "key": str(identity),
        "known_hosts": str(made.known_hosts),
        "connect_timeout_s": CONNECT_S,
        "hosts": [
            {"name": host.name, "address": host.address, "port": host.port} for host in made.hosts
        ],
    }


def for_pyinfra(made: Targets, identity: Path) -> list[tuple[str, dict[str, object]]]:
    """The hosts and their data."""
    return [
        (
            host.name,
            {
                "ssh_hostname": host.address,
                "ssh_port": host.port,
                "ssh_user": host.user,
                "ssh_key": str(identity),
                "ssh_known_hosts_file": str(made.known_hosts),
                "ssh_strict_host_key_checking": "yes",
            },
        )
        for host in made.hosts
    ]


def for_ansible(made: Targets, identity: Path) -> dict[str, object]:
    """Ansible's inventory."""
    options = f"-F /dev/null -o UserKnownHostsFile={made.known_hosts} -o IdentitiesOnly=yes"
    common = {
        "ansible_user": made.hosts[0].user,
        "ansible_ssh_private_key_file": str(identity),
        "ansible_ssh_common_args": f"{options} -o StrictHostKeyChecking=yes",
    }
    places = {
        host.name: {"ansible_host": host.address, "ansible_port": host.port} for host in made.hosts
    }
    return {"all": {"vars": common, "hosts": places}}


@contextlib.contextmanager
def refusing() -> Iterator[tuple[str, int]]:
    """An address that refuses connections: a port that is taken but does not listen."""
    with socket.socket() as held:
        held.bind(("127.0.3.1", 0))
        yield held.getsockname()


@contextlib.contextmanager
def mute() -> Iterator[tuple[str, int]]:
    """An address that accepts connections and says nothing (the system accepts them)."""
    with socket.create_server(("127.0.3.2", 0), backlog=100) as listener:
        yield listener.getsockname()


@contextlib.contextmanager
def dropping() -> Iterator[tuple[str, int]]:
    """An address that drops every packet: a listener with a full queue."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.3.3", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()
