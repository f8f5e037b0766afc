"""A host behind a connection that OpenSSH keeps open: each shell is an `ssh -S` process.

Nothing here speaks SSH. A shell's process cannot make its own connection: without its master it
ends. So a change never continues over a second connection. Terminals, and connections that the
host makes, use a separate login.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opstasks.core.errors import Unreachable
from opstasks.core.hints import one_word
from opstasks.fleet.inventory import NEVER, HostSpec
from opstasks.fleet.pipes import PipeProcess, reap
from opstasks.fleet.route import Hop, route
from opstasks.fleet.ssh import SSHTransport
from opstasks.fleet.ssh_master import Master, open_master, own_master

if TYPE_CHECKING:
    from opstasks.fleet.transport import Socket, Transport

# Without a master, ssh would log in by itself, with other checks.
ONLY_THROUGH_THE_MASTER = ("-F", "none", "-o", "ProxyCommand=false", "-o", "ControlMaster=no")
# A connection that answered this recently is used at once; an older one must answer first.
FRESH_S = 60.0
# How soon ssh ends after it has written to standard error why.
ENDS_S = 0.3


class OpenSSHProcess(PipeProcess):
    """A shell behind one `ssh -S` process.

    Standard output is always an answer of the host, and so is a question such as sudo's: ssh itself
    writes whole lines to standard error.
    """

    def __init__(self, argv: list[str], master: Master) -> None:
        super().__init__(argv)
        self._master = master
        self._held: tuple[bytes, bytes, bool] | None = None
        self.has_answered = False

    def answers(self, timeout_s: float) -> bool:
        """Wait for the first output, which `read` returns later; whether the host answered.

        Start-up files write whole lines to standard error, too. ssh does so only before it ends.
        """
        out, err, ended = self.read(timeout_s)
        deadline = time.monotonic() + ENDS_S
        while err and not (self.has_answered or ended):
            if (left_s := deadline - time.monotonic()) <= 0:
                break
            out, more, ended = self.read(left_s)
            err += more
        if err and not ended:
            self._note_answer()
        self._held = (out, err, ended)
        return self.has_answered

    def read(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """Wait for output on either stream."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        out, err, ended = super().read(timeout_s)
        if out or (err and not err.endswith(b"\n")):
            self._note_answer()
        return out, err, ended

    def _note_answer(self) -> None:
        if not self.has_answered:
            self.has_answered = True
            self._master.note_use()

    def close(self) -> None:
        """End standard input; does not wait for the host's answer to that.

        A connection on which a shell did not answer is not used again.
        """
        if not self.has_answered and not self._master.is_own:
            self._master.retire()
        self._end_input()
        reap(self._popen)


class OpenSSHTransport:
    """One kept connection."""

    def __init__(
        self, spec: HostSpec, gateway: HostSpec | None, master: Master, hops: list[Hop]
    ) -> None:
        self.spec = spec
        self._gateway, self._hops = gateway, hops
        self._master = master
        self._login: SSHTransport | None = None
        self._is_in_use = False

    def start(self, line: str) -> OpenSSHProcess:
        """Start a shell through the connection; raises Unreachable.

        A dead connection is replaced before the first shell has got any input, and never later.
        """
        process = self._start(line)
        must_answer = not self._is_in_use and self._master.unused_s() > FRESH_S
        self._is_in_use = True
        if not must_answer or process.answers(self.spec.connect_timeout_s):
            return process
        process.close()
        self._replace()
        return self._start(line)

    def _start(self, line: str) -> OpenSSHProcess:
        if not self.is_alive():
            raise Unreachable("connection lost", host=self.spec.name, hint="run it again")
        words = ["ssh", "-S", str(self._master.socket), *ONLY_THROUGH_THE_MASTER]
        words += ["-T", "-o", "LogLevel=ERROR", "--", "opstasks", line]
        return OpenSSHProcess(words, self._master)

    def _replace(self) -> None:
        if self._master.is_own:
            text = "your own ControlMaster's connection does not answer"
            hint = f"ssh -O exit {one_word(self.spec.address)}"
            raise Unreachable(text, host=self.spec.name, hint=hint)
        self._master.retire()
        master = open_master(self._hops, self.spec.name, self.spec.keep_connection_s)
        if master is None:
            raise Unreachable("connection lost", host=self.spec.name, hint="run it again")
        self._master = master

    def current_user(self) -> str:
        """The login account."""
        return self._hops[-1].settings.user

    def login_key(self) -> str:
        """Not known: OpenSSH made the login."""
        return ""

    @property
    def _own_login(self) -> SSHTransport:
        if self._login is None:
            self._login = SSHTransport(self.spec, self._gateway)
        return self._login

    @property
    def connection(self) -> Any:
        """Fabric's connection, by a separate login."""
        return self._own_login.connection

    def dial(self, address: str, port: int, timeout_s: float) -> Socket:
        """A TCP connection that the host makes, by a separate login."""
        return self._own_login.dial(address, port, timeout_s)

    def is_alive(self) -> bool:
        """Whether the master still listens."""
        return self._master.accepts()

    def answers(self, timeout_s: float) -> bool:
        """Not known: only the master could ask."""
        return False

    def lost_because(self) -> str:
        """Not known here."""
        return ""

    def close(self) -> None:
        """Leave the connection to the next command."""
        if self._login is not None:
            self._login.close()


def connect(spec: HostSpec, gateway: HostSpec | None = None) -> Transport:
    """The connection that is kept for a host, or a login that ends with the run.

    Raises what `SSHTransport` raises, and Refused when the folder of kept connections is not safe.
    """
    hops, master = route(spec, gateway), None
    if spec.keep_connection_s:
        master = open_master(hops, spec.name, spec.keep_connection_s)
    elif not gateway and spec.keep_connection != NEVER:
        master = own_master(hops[-1], spec.name)
    if master is None:
        return SSHTransport(spec, gateway, hops)
    return OpenSSHTransport(spec, gateway, master, hops)
