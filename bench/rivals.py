"""How each tool is called, with its own best documented settings.

Every tool logs in with the same key and checks host keys with the same known_hosts file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.environment import BIN, INV, ROOT
from bench.targets import Targets

CLIENTS = Path(__file__).parent / "clients"
Line = list[str | Path]
# OpenSSH runs a login for each process: 32 at once, as ours. More did not help on two cores.
SSH_PROCESSES = "32"
# pyinfra prints what a host says to standard error.
MERGED = ("sh", "-c", 'exec "$@" 2>&1', "sh")
MASTER = ("-o", "ControlMaster=auto", "-o", "ControlPersist=60")


@dataclass(frozen=True)
class Tool:
    """A tool of a row: its name, its package, its command line, and its most rounds."""

    name: str
    package: str
    line: Callable[[Targets], Line]
    rounds: int = 100
    env: tuple[tuple[str, str], ...] = ()
    cwd: Path | None = None

    def environment(self, targets: Targets) -> dict[str, str]:
        """The variables of a run."""
        return {**targets.env, **dict(self.env)}


def opstasks(name: str, line: Callable[[Targets], Line]) -> Tool:
    """A tool of ours: from this checkout, whose tasks.py `inv` reads."""
    return Tool(name, "", line, env=(("PYTHONPATH", str(ROOT)),), cwd=ROOT)


def client(name: str, package: str, count: int = 1) -> Tool:
    """A program of bench/clients."""
    program = CLIENTS / f"{name.replace('parallel-ssh', 'pssh').lower()}_client.py"
    return Tool(name, package, lambda made: [BIN / "python", program, made.settings, str(count)])


def typed(made: Targets) -> Line:
    """Ours, as an operator types it, with the audit's lines."""
    run = ["run", "--user", made.hosts[0].user, "--", "uptime"]
    return [INV, "--inventory", made.inventory, "-H", "many", *run]


def xargs(made: Targets) -> Line:
    """OpenSSH, one process for each host."""
    # xargs stops at exit code 255, which is ssh's for a failed connection.
    one: Line = ["sh", "-c", 'ssh -F "$0" "$1" uptime || exit 1', made.ssh_config]
    return ["xargs", "-a", made.names, "-n", "1", "-P", SSH_PROCESSES, *one]


def clush(made: Targets) -> Line:
    """ClusterShell: ssh processes; its default fan-out is 64."""
    options = ["--worker=ssh", "-f", "64", "-o", f"-F {made.ssh_config}"]
    return [BIN / "clush", *options, f"--hostfile={made.names}", "uptime"]


def pyinfra(made: Targets) -> Line:
    """The `exec` of pyinfra; by default all hosts at once."""
    return [*MERGED, BIN / "pyinfra", "-y", made.pyinfra, "exec", "--", "uptime"]


def ansible(made: Targets) -> Line:
    """Ansible's `raw`, which needs no Python on the host: one ssh for each host."""
    return [BIN / "ansible", "-i", made.ansible, "all", "-m", "raw", "-a", "uptime", "-o"]


OURS = opstasks("opstasks", typed)
ASYNCSSH = client("asyncssh", "asyncssh")
PSSH = client("parallel-ssh", "parallel-ssh")
FABRIC = client("Fabric", "fabric")
PYINFRA = Tool("pyinfra", "pyinfra", pyinfra, 3)
SSH = Tool("ssh, xargs -P", "", xargs, 3)
CLUSH = Tool("ClusterShell", "ClusterShell", clush, 3)
# Without a master: it would stay behind for each host, and one command does not need it.
ANSIBLE = Tool("Ansible", "ansible-core", ansible, 1, env=(("ANSIBLE_SSH_ARGS", "-C"),))
FAN_OUT: Sequence[Tool] = (OURS, ASYNCSSH, PSSH, FABRIC, PYINFRA, SSH, CLUSH, ANSIBLE)


def ssh_master(count: int) -> Callable[[Targets], Line]:
    """OpenSSH with a master connection; a process for each command, one after the other."""

    def line(made: Targets) -> Line:
        name = made.hosts[0].name
        socket = f"ControlPath={made.folder}/%C"
        ssh: Line = ["ssh", "-F", made.ssh_config, *MASTER, "-o", socket, name, "uptime"]
        text = 'n=$1; shift; for i in $(seq "$n"); do "$@" || exit; done'
        return ["sh", "-c", text, "sh", str(count), *ssh] if count > 1 else ssh

    return line


def plain_ssh(made: Targets) -> Line:
    """OpenSSH, one command."""
    return ["ssh", "-F", made.ssh_config, made.hosts[0].name, "uptime"]


def ten_of_ours(made: Targets) -> Line:
    """Ten commands by our Host."""
    return [sys.executable, CLIENTS / "opstasks_client.py", made.inventory, "10"]


def pyinfra_ten(made: Targets) -> Line:
    """Ten operations of pyinfra."""
    deploy = made.folder / "ten.py"
    each = "server.shell(commands=['uptime'], _ignore_errors=False)\n"
    deploy.write_text("from pyinfra.operations import server\n" + each * 10)
    return [*MERGED, BIN / "pyinfra", "-vvv", "-y", made.pyinfra, deploy]


def ansible_ten(made: Targets) -> Line:
    """A playbook of ten raw tasks."""
    play = made.folder / "ten.yml"
    task = "    - raw: uptime\n      register: answer\n    - debug: var=answer.stdout\n"
    head = "- hosts: all\n  gather_facts: false\n  tasks:\n"
    play.write_text(head + task * 10)
    return [BIN / "ansible-playbook", "-i", made.ansible, play]
