"""A host behind a connection that OpenSSH keeps open: each shell is an `ssh -S` process.

Nothing here speaks SSH. A shell's process has no way to make a connection of its own: without its
master it ends. So a change never continues over a second connection.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import subprocess
import time
from dataclasses import dataclass

from opstasks.core.errors import OpsError, Refused, Unreachable
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.pipes import PipeProcess, reap
from opstasks.fleet.ssh_arguments import own_master, resolved
from opstasks.fleet.ssh_master import Master, open_master, retire
from opstasks.fleet.ssh_terminal import OpenSSHTerminal
from opstasks.fleet.transport import CHUNK_BYTES

# Without a master, ssh would log in by itself, with other checks.
ONLY_THROUGH_THE_MASTER = ("-F", "none", "-o", "ProxyCommand=false", "-o", "ControlMaster=no")
# A connection that answered this recently is used at once; an older one must answer first.
FRESH_S = 60.0


@dataclass
class Health:
    """What the shells of one transport have seen of its connection."""

    has_answered: bool = False
    is_doubtful: bool = False


class OpenSSHProcess(PipeProcess):
    """A shell behind one `ssh -S` process."""

    def __init__(self, argv: list[str], health: Health) -> None:
        super().__init__(argv)
        self._health = health
        self._is_silent = True
        self._held: tuple[bytes, bytes, bool] | None = None

    def answers(self, timeout_s: float) -> bool:
        """Wait for the first output, which `read` returns later; whether any came."""
        self._held = self.read(timeout_s)
        return not self._is_silent

    def read(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """Wait for output on either stream."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        out, err, ended = super().read(timeout_s)
        if self._is_silent and (out or err):
            self._is_silent, self._health.has_answered = False, True
        return out, err, ended

    def close(self) -> None:
        """End standard input; does not wait for the host's answer to that."""
        self._health.is_doubtful |= self._is_silent
        self._end_input()
        reap(self._popen)


class OpenSSHTransport:
    """One kept connection, with host keys checked and gateways honoured."""

    def __init__(
        self, spec: HostSpec, gateway: HostSpec | None = None, master: Master | None = None
    ) -> None:
        """Find the connection or log in; raises OpsError with the reason and a hint."""
        self.spec = spec
        self._gateway = gateway
        self._use(master or open_master(spec, gateway))

    def _use(self, master: Master) -> None:
        self._master = master
        self._health = Health(has_answered=master.is_new)

    def start(self, line: str) -> OpenSSHProcess:
        """Start a shell through the connection; raises OpsError.

        A dead connection is replaced before its first shell has got any input, and never later.
        """
        process = self._start(line)
        if self._health.has_answered or self._master.unused_s() < FRESH_S:
            return process
        if not process.answers(self.spec.connect_timeout_s):
            process.close()
            self._replace()
            process = self._start(line)
        return process

    def _replace(self) -> None:
        if self._master.is_own:
            raise Unreachable(
                "your own ControlMaster's connection does not answer",
                host=self.spec.name,
                hint=f"ssh -O exit {self.spec.address}",
            )
        retire(self._master)
        self._use(open_master(self.spec, self._gateway))

    def _start(self, line: str) -> OpenSSHProcess:
        self._check()
        argv = self._argv("-T", "-o", "LogLevel=QUIET", "--", "opstasks", line)
        return OpenSSHProcess(argv, self._health)

    def terminal(self, line: str, columns: int, rows: int) -> OpenSSHTerminal:
        """Start a command line on a terminal of the host; raises OpsError."""
        self._check()
        argv = self._argv("-tt", "-e", "none", "-o", "LogLevel=QUIET", "--", "opstasks", line)
        return OpenSSHTerminal(argv, self.is_alive, columns, rows)

    def _check(self) -> None:
        if not self.is_alive():
            raise Unreachable("connection lost", host=self.spec.name, hint="run it again")

    def _argv(self, *words: str) -> list[str]:
        return ["ssh", "-S", str(self._master.socket), *ONLY_THROUGH_THE_MASTER, *words]

    def current_user(self) -> str:
        """The login account."""
        return self._master.user

    def dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP connection that the host makes for us; raises Refused or Unreachable."""
        self._check()
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        said_before = _size(self._master)
        ours, theirs = socket.socketpair()
        popen = subprocess.Popen(
            self._argv("-o", "LogLevel=DEBUG1", "-W", where, "--", "opstasks"),
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()
        is_open = _is_forwarding(popen, timeout_s)
        reap(popen, None if is_open else 0)
        if not is_open:
            ours.close()
            raise self._no_forwarding(said_before)
        ours.settimeout(timeout_s)
        return ours

    def _no_forwarding(self, said_before: int) -> OpsError:
        """The error for a connection that the host did not make; only the master's log says why."""
        with contextlib.suppress(OSError):
            said = self._master.log.read_bytes()[said_before:]
            if b"administratively prohibited" in said:
                return Refused(
                    "sshd on the host does not forward connections",
                    host=self.spec.name,
                    hint="set AllowTcpForwarding in its sshd_config",
                )
        return Unreachable("the host gets no answer from that address", host=self.spec.name)

    def is_alive(self) -> bool:
        """Whether the connection is open, as far as OpenSSH has noticed."""
        return not self._health.is_doubtful and self._master.accepts()

    def close(self) -> None:
        """Leave the connection to the next command, unless a shell got no answer on it."""
        if self._health.is_doubtful:
            retire(self._master)
        elif self._health.has_answered:
            self._master.note_use()


def own_connection(spec: HostSpec) -> OpenSSHTransport | None:
    """The connection that the person's own ssh keeps open for a host, or None.

    Costs one `ssh -G`.
    """
    words = ["-F", spec.ssh_config] if spec.ssh_config else []
    words += ["-l", spec.user] if spec.user else []
    words += ["-p", str(spec.port)] if spec.port else []
    settings = resolved(words, spec.address, spec)
    path = own_master(settings, spec)
    if path is None:
        return None
    master = Master(path, "", spec.name, settings["user"], is_own=True)
    return OpenSSHTransport(spec, master=master) if master.accepts() else None


def _size(master: Master) -> int:
    try:
        return master.log.stat().st_size
    except OSError:
        return 0


def _is_forwarding(popen: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Whether ssh reports an open connection in time; then its reports are not read any more."""
    assert popen.stderr
    said, deadline = b"", time.monotonic() + timeout_s
    poll = select.poll()
    poll.register(popen.stderr, select.POLLIN)
    with popen.stderr:
        while not re.search(rb"master session id: \d+", said):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                return False
            data = os.read(popen.stderr.fileno(), CHUNK_BYTES)
            if not data:
                return False
            said += data
    return True
