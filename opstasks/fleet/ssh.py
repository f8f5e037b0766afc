"""A host behind an SSH connection, which Fabric makes."""

from __future__ import annotations

import contextlib
import logging
import random
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opstasks.core.errors import Refused, Unreachable
from opstasks.fleet.host_keys import HostKeyError, trust
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.transport import CHUNK_BYTES

if TYPE_CHECKING:
    import paramiko

# sshd refuses new connections at random above MaxStartups; these refusals are worth a retry.
CONNECT_TRIES = 4
# A connection without an acknowledgement for this long is lost (Linux waits 15 minutes).
SILENCE_S = 90


class SSHProcess:
    """A shell behind one SSH channel."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def write(self, data: bytes) -> None:
        """Send to standard input; raises OSError when the connection is gone."""
        import paramiko

        try:
            self._channel.sendall(data)
        except (
            EOFError,
            paramiko.SSHException,
        ) as error:  # a lost network
            raise ConnectionError(str(error)) from error

    def read(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """Wait for output on either stream."""
        channel = self._channel
        select.select([channel], [], [], timeout_s)
        # Read this first: output that arrives later is still read below.
        ended = channel.closed or channel.eof_received
        out = channel.recv(CHUNK_BYTES) if channel.recv_ready() else b""
        err = channel.recv_stderr(CHUNK_BYTES) if channel.recv_stderr_ready() else b""
        return out, err, bool(ended and not out and not err)

    def close(self) -> None:
        """Close the channel; a lost connection is not an error here."""
        import paramiko

        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()


class SSHTransport:
    """One SSH connection, with host keys checked and gateways honoured."""

    def __init__(self, spec: HostSpec, gateway: HostSpec | None = None) -> None:
        """Connect; raises Unreachable with the reason and a hint."""
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        self.spec = spec
        self._gateway = gateway
        self._connection = self._connect()

    def _connect(self) -> Any:
        for attempt in range(CONNECT_TRIES):
            connection = make_connection(self.spec, self._gateway)
            try:
                connection.open()
            except Exception as error:  # paramiko raises a dozen unrelated types
                _close(connection)
                if attempt + 1 < CONNECT_TRIES and _turned_away(error):
                    time.sleep(random.uniform(0.2, 0.6) * 2**attempt)  # noqa: S311
                    continue
                raise explain(error, self.spec) from error
            _notice_silence(connection)
            return connection
        raise AssertionError("unreachable")

    def start(self, line: str) -> SSHProcess:
        """Start a shell on a new channel of the connection; raises Unreachable."""
        lost = Unreachable("connection lost", host=self.spec.name, hint="run it again")
        if not self.is_alive():
            raise lost
        try:
            transport = self._connection.client.get_transport()
            channel = transport.open_session(timeout=self.spec.connect_timeout_s)
            channel.exec_command(line.encode("utf-8", "surrogateescape"))
        except (EOFError, OSError) as error:  # the connection was lost, but not noticed before
            raise lost from error
        except Exception as error:
            raise explain(error, self.spec) from error
        return SSHProcess(channel)

    def current_user(self) -> str:
        """The login account."""
        return str(self._connection.user)

    def dial(self, address: str, port: int, timeout_s: float) -> paramiko.Channel:
        """A TCP connection that the host makes for us; raises Refused or Unreachable."""
        import paramiko

        transport = self._connection.client.get_transport()
        where = (address, port)
        try:
            channel: paramiko.Channel = transport.open_channel(
                "direct-tcpip", where, ("127.0.0.1", 0), timeout=timeout_s
            )
        except paramiko.ChannelException as error:
            if error.code == paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED:
                raise Refused(
                    "sshd on the host does not forward connections",
                    host=self.spec.name,
                    hint="set AllowTcpForwarding in its sshd_config",
                ) from error
            raise Unreachable(
                "the host gets no answer from that address", host=self.spec.name
            ) from error
        except Exception as error:
            raise explain(error, self.spec) from error
        channel.settimeout(timeout_s)
        return channel

    def is_alive(self) -> bool:
        """Whether the connection is open, as far as paramiko has noticed."""
        transport = self._connection.client.get_transport()
        return bool(transport and transport.is_active())

    @property
    def connection(self) -> Any:
        """The Fabric connection, for terminals and forwarding."""
        return self._connection

    def close(self) -> None:
        """Close the connection."""
        _close(self._connection)


def make_connection(spec: HostSpec, gateway: HostSpec | None) -> Any:
    """A Fabric connection that is not open yet, with strict host keys."""
    import fabric

    kwargs: dict[str, Any] = {
        "banner_timeout": 30,
        "auth_timeout": 30,
        # How long a connection from this host to one behind it may take.
        "channel_timeout": spec.connect_timeout_s,
    }
    if spec.identity_file:
        kwargs["key_filename"] = str(Path(spec.identity_file).expanduser())
    config = None
    if spec.ssh_config:
        config = fabric.Config(runtime_ssh_path=str(Path(spec.ssh_config).expanduser()))
    connection: Any = fabric.Connection(
        host=spec.address,
        user=spec.user or None,
        port=spec.port or None,
        config=config,
        gateway=make_connection(gateway, None) if gateway else None,
        connect_timeout=spec.connect_timeout_s,
        connect_kwargs=kwargs,
    )
    trust(connection, spec.host_keys, spec.host_key_checking)
    jump = None if gateway else connection.gateway
    while isinstance(jump, fabric.Connection):  # ProxyJump of ssh_config: no pins of ours
        trust(jump, (), "strict")
        jump = jump.gateway
    return connection


def _with_gateways(connection: Any) -> Iterator[Any]:
    """A connection and those that it goes through."""
    import fabric

    while isinstance(connection, fabric.Connection):
        yield connection
        connection = connection.gateway


def _close(connection: Any) -> None:
    """Drop a connection and those that it goes through, which Fabric leaves open."""
    for each in _with_gateways(connection):
        each.close()


def _notice_silence(connection: Any) -> None:
    """Make the system give up on a dead network long before its own limit.

    Every open shell sends a heartbeat, so there is always something that should be acknowledged.
    """
    for each in _with_gateways(connection):
        wire = (
            each.transport.sock
        )  # behind a gateway, this is a channel of the gateway's connection
        if isinstance(wire, socket.socket) and hasattr(socket, "TCP_USER_TIMEOUT"):
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)


def _turned_away(error: Exception) -> bool:
    """Whether sshd closed the connection before its first message."""
    return isinstance(error, EOFError | ConnectionResetError) or "banner" in str(error)


def explain(error: Exception, spec: HostSpec) -> Unreachable:
    """The error for an exception of paramiko or the system: one sentence and a hint."""
    import paramiko

    where = f"{spec.address}:{spec.port or 22}"
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
        error = next(iter(error.errors.values()))
    if isinstance(error, HostKeyError):
        text, hint = str(error), error.hint
    elif isinstance(error, paramiko.PasswordRequiredException):
        text, hint = "the private key is locked", "ssh-add it, then try again"
    elif isinstance(error, paramiko.AuthenticationException):
        text, hint = f"{where} did not accept our key", "check `user`, your agent and your key"
    elif isinstance(error, socket.gaierror):
        text, hint = f"no address for {spec.address!r}", "check `address` in hosts.yaml"
    elif isinstance(error, TimeoutError):
        text, hint = (
            f"no answer from {where} within {spec.connect_timeout_s} s",
            "is the host up, and the VPN?",
        )
    elif isinstance(error, OSError):
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        text, hint = f"cannot connect to {where}: {reason}", "is the host up, and the VPN?"
    else:
        reason = str(error) or type(error).__name__
        text, hint = f"cannot connect to {where}: {reason}", f"try `ssh {spec.address}`"
    return Unreachable(text, host=spec.name, hint=hint)
