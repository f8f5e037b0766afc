"""A host behind an SSH connection of our own (`opstasks.fleet.link`).

The settings are those of OpenSSH (`opstasks.fleet.ssh_config`); hosts.yaml replaces some of them.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import random
import time
from typing import TYPE_CHECKING, Any

from opstasks.core.errors import Refused, Unreachable
from opstasks.core.hints import one_word
from opstasks.fleet.arrivals import Arrivals
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.route import Hop, route
from opstasks.fleet.tcp import CHECK_NETWORK, NO_SSHD
from opstasks.fleet.transport import CHUNK_BYTES

if TYPE_CHECKING:
    import paramiko

    from opstasks.fleet.link import Link

# sshd refuses new connections at random above MaxStartups; these refusals are worth a retry.
CONNECT_TRIES = 4


class SSHProcess:
    """A shell behind one SSH channel."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._arrivals = Arrivals(channel)

    def write(self, data: bytes) -> None:
        """Send to standard input; raises OSError when the connection is gone."""
        import paramiko

        try:
            self._channel.sendall(data)
        except (EOFError, paramiko.SSHException) as error:  # a lost network
            raise ConnectionError(str(error)) from error

    def is_writable(self) -> bool:
        """Whether a byte can be sent without waiting: a host may stop reading."""
        return self._channel.send_ready()

    def read(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """Wait for output on either stream; a lost connection is its end."""
        import paramiko

        channel = self._channel
        self._arrivals.wait(timeout_s)
        # Read this first: output that arrives later is still read below.
        ended = channel.closed or channel.eof_received
        out = err = b""
        try:  # each tells the server how much was read
            out = channel.recv(CHUNK_BYTES) if channel.recv_ready() else b""
            err = channel.recv_stderr(CHUNK_BYTES) if channel.recv_stderr_ready() else b""
        except (EOFError, OSError, paramiko.SSHException):
            ended = True
        if out or err or ended:
            self._arrivals.set()  # there may be more: look again before waiting
        return out, err, bool(ended and not out and not err)

    def close(self) -> None:
        """Close the channel; a lost connection is not an error here."""
        import paramiko

        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()


@functools.cache
def _silence_paramiko() -> None:
    """Keep paramiko from printing: every failure gets an error of ours."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class SSHTransport:
    """One SSH connection, with host keys checked and gateways honoured."""

    def __init__(
        self, spec: HostSpec, gateway: HostSpec | None = None, hops: list[Hop] | None = None
    ) -> None:
        """Connect by the logins of `route`.

        Raises Unreachable with the reason and a hint, and Refused for bad settings.
        """
        _silence_paramiko()
        self.spec = spec
        try:
            self._hops = hops or route(spec, gateway)
        except Refused as error:
            error.host = error.host or spec.name
            raise
        self._links = self._connect()

    def _connect(self) -> list[Link]:
        """The connections to the host: those to the gateways on the way, then its own."""
        from opstasks.fleet import link

        links: list[Link] = []
        try:
            for hop in self._hops:
                links.append(self._reach(hop, links[-1] if links else None))
        except BaseException:
            link.close_all(links)
            raise
        return links

    def _reach(self, hop: Hop, through: Link | None) -> Link:
        from opstasks.fleet import link

        for attempt in range(CONNECT_TRIES):
            try:
                return link.connect(hop, through)
            except link.TurnedAwayError as error:
                if attempt + 1 == CONNECT_TRIES:
                    raise self._blamed(hop, error.reason) from error
                time.sleep(random.uniform(0.2, 0.6) * 2**attempt)  # noqa: S311
            except Unreachable as error:
                raise self._blamed(hop, error) from error.__cause__
            except Refused as error:
                error.host = error.host or self.spec.name
                raise
        raise AssertionError("unreachable")

    def _blamed(self, hop: Hop, error: Unreachable) -> Unreachable:
        """The error for this host, which names the gateway if that one is the cause."""
        error.host = self.spec.name
        if hop is self._hops[-1]:
            error.own_words = (hop.settings.hostname, self.spec.address)
        else:
            error.message = f"gateway {hop.name}: {error.message}"
            gateway = f"the gateway {one_word(hop.name)}"
            if error.hint == CHECK_NETWORK:
                error.hint = f"is {gateway} up, and the VPN?"
            elif error.hint == NO_SSHD:
                error.hint = f"{gateway} answers, but no sshd there: check its port"
        return error

    def start(self, line: str) -> SSHProcess:
        """Start a shell on a new channel of the connection; raises Unreachable."""
        if not self.is_alive():
            raise self._lost()
        try:
            wire = self._links[-1].wire
            channel = wire.open_session(timeout=self.spec.connect_timeout_s)
            process = SSHProcess(channel)
            wire.start_command(channel, line.encode("utf-8", "surrogateescape"))
        except (EOFError, OSError) as error:  # the connection was lost, but not noticed before
            raise self._lost() from error
        except Exception as error:  # paramiko raises a dozen unrelated types
            raise self._refused(error) from error
        return process

    def _lost(self) -> Unreachable:
        because = self.lost_because()
        text = f"connection lost: {because}" if because else "connection lost"
        return Unreachable(text, host=self.spec.name, hint="run it again")

    def _refused(self, error: Exception) -> Unreachable:
        """The error for a channel that the server does not open."""
        from opstasks.fleet.wire import in_one_line

        reason = getattr(error, "text", "") or str(error) or type(error).__name__
        hint = f"try `ssh {one_word(self._hops[-1].settings.name)}`"
        return Unreachable(
            f"the host opens no session: {in_one_line(reason)}", host=self.spec.name, hint=hint
        )

    def lost_because(self) -> str:
        """Why the connection ended, in the server's or the proxy's words; "" if not known."""
        for link in self._links:
            if text := link.problem:
                is_gateway = link is not self._links[-1]
                return f"gateway {link.hop.name}: {text}" if is_gateway else text
        return ""

    def current_user(self) -> str:
        """The login account."""
        return self._hops[-1].settings.user

    def login_key(self) -> str:
        """The name of the key that the host accepted."""
        return self._links[-1].key

    def dial(self, address: str, port: int, timeout_s: float) -> paramiko.Channel:
        """A TCP connection that the host makes for us; raises Refused or Unreachable."""
        from opstasks.fleet import link

        try:
            return link.dial(self._links[-1], address, port, timeout_s)
        except link.ForwardingForbiddenError as error:
            raise Refused(
                "sshd on the host does not forward connections",
                host=self.spec.name,
                hint="set AllowTcpForwarding in its sshd_config",
            ) from error
        except link.NoAnswerError as error:
            text = f"the host gets no answer from that address: {error}"
            hint = "is that address up? The host must reach it"

            raise Unreachable(text, host=self.spec.name, hint=hint) from error
        except EOFError as error:
            raise self._lost() from error

    def is_alive(self) -> bool:
        """Whether the connection is open, as far as paramiko has noticed."""
        return all(link.wire.is_active() for link in self._links)

    def answers(self, timeout_s: float) -> bool:
        """Ask the host for one more channel: first, it reads everything that was sent before."""
        import paramiko

        try:
            self._links[-1].wire.open_session(timeout=timeout_s).close()
        except paramiko.ChannelException:  # "no" is an answer
            return True
        except (EOFError, OSError, paramiko.SSHException):
            return False
        return True

    @property
    def connection(self) -> Any:
        """The Fabric connection, for terminals and forwarding."""
        return self._links[-1].connection

    def close(self) -> None:
        """Close the connection, and those that it goes through."""
        from opstasks.fleet import link

        link.close_all(self._links)
