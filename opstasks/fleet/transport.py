"""Two ways to reach a host: SSH through Fabric, and this machine.

Both give the same thing, a running shell with three streams (`opstasks.fleet.session.Process`), so
everything above is the same code for both. Host keys are checked as strictly as OpenSSH does:
Fabric itself would add unknown keys without a word.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import select
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opstasks.core.errors import Refused, Unreachable
from opstasks.fleet import known_hosts
from opstasks.fleet.inventory import HostSpec

if TYPE_CHECKING:
    import paramiko

CHUNK = 1 << 16
KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("~/.ssh/known_hosts"))
# sshd refuses new connections at random above MaxStartups; these refusals are worth a retry.
CONNECT_TRIES = 4
# Without an answer to what was sent for so long, a connection is lost (Linux waits 15 minutes).
SILENCE_S = 90


class LocalProcess:
    """A shell on this machine."""

    def __init__(self, line: str) -> None:
        # A session of its own: Ctrl-C is for us to handle, not for a half-done step.
        self._popen = subprocess.Popen(
            ["bash", "-c", line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._popen.stdin and self._popen.stdout and self._popen.stderr
        self._stdin = self._popen.stdin
        self._open = [self._popen.stdout.fileno(), self._popen.stderr.fileno()]
        self._out_fd = self._popen.stdout.fileno()

    def write(self, data: bytes) -> None:
        """Send to standard input; raises OSError when the shell is gone."""
        try:
            self._stdin.write(data)
            self._stdin.flush()
        except ValueError as error:  # Python's word for a pipe that we closed
            raise ConnectionError(str(error)) from error

    def read(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """Wait for output on either stream."""
        got = {True: b"", False: b""}
        ready, _, _ = select.select(self._open, [], [], timeout_s)
        for fd in ready:
            data = os.read(fd, CHUNK)
            got[fd == self._out_fd] += data
            if not data:
                self._open.remove(fd)
        return got[True], got[False], not self._open

    def close(self) -> None:
        """End standard input; the framed shell ends by itself."""
        with contextlib.suppress(OSError):  # it may be gone already
            self._stdin.close()
        # A step of ours that is still running keeps its lock and ends on its own.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=2)


class LocalTransport:
    """The machine that this runs on."""

    def start(self, line: str) -> LocalProcess:
        """Start a shell here."""
        return LocalProcess(line)

    def current_user(self) -> str:
        """The account that runs this program."""
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name

    def dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP connection from here; raises Unreachable."""
        try:
            return socket.create_connection((address, port), timeout_s)
        except OSError as error:
            raise Unreachable(f"no answer: {error.strerror or error}") from error

    def is_alive(self) -> bool:
        """Nothing comes between."""
        return True

    def close(self) -> None:
        """Nothing to drop."""


class SSHProcess:
    """A shell behind one SSH channel."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def write(self, data: bytes) -> None:
        """Send to standard input; raises OSError when the connection is gone."""
        import paramiko

        try:
            self._channel.sendall(data)
        except (EOFError, paramiko.SSHException) as error:  # paramiko's words for a lost network
            raise ConnectionError(str(error)) from error

    def read(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """Wait for output on either stream."""
        channel = self._channel
        select.select([channel], [], [], timeout_s)
        # Looked at first: what comes after it is still read.
        ended = channel.closed or channel.eof_received
        out = channel.recv(CHUNK) if channel.recv_ready() else b""
        err = channel.recv_stderr(CHUNK) if channel.recv_stderr_ready() else b""
        return out, err, bool(ended and not out and not err)

    def close(self) -> None:
        """Close the channel; on a connection that is gone there is nobody to tell."""
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
        except (EOFError, OSError) as error:  # gone, though nobody had said so yet
            raise lost from error
        except Exception as error:
            raise explain(error, self.spec) from error
        return SSHProcess(channel)

    def current_user(self) -> str:
        """The login account."""
        return str(self._connection.user)

    def dial(self, address: str, port: int, timeout_s: float) -> paramiko.Channel:
        """A TCP connection that the host makes, through ours; raises Refused, Unreachable."""
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
                    "sshd there forwards no connections",
                    host=self.spec.name,
                    hint="allow it there: AllowTcpForwarding in sshd_config",
                ) from error
            raise Unreachable("the host gets no answer from it", host=self.spec.name) from error
        except Exception as error:
            raise explain(error, self.spec) from error
        channel.settimeout(timeout_s)
        return channel

    def is_alive(self) -> bool:
        """Whether nobody has said yet that the connection is gone."""
        transport = self._connection.client.get_transport()
        return bool(transport and transport.is_active())

    @property
    def connection(self) -> Any:
        """The Fabric connection, for interactive use and forwarding."""
        return self._connection

    def close(self) -> None:
        """Drop the connection."""
        _close(self._connection)


def make_connection(spec: HostSpec, gateway: HostSpec | None) -> Any:
    """A Fabric connection that is not open yet, with strict host keys."""
    import fabric

    kwargs: dict[str, Any] = {
        "banner_timeout": 30,
        "auth_timeout": 30,
        # How long the hop from this host to one behind it may take.
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
    """Have the system give up a network that swallows what we send, long before its own limit.

    Every open shell sends a heartbeat, so there is always something to be missed.
    """
    for each in _with_gateways(connection):
        wire = each.transport.sock  # behind a gateway it is one of that connection's channels
        if isinstance(wire, socket.socket) and hasattr(socket, "TCP_USER_TIMEOUT"):
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)


def trust(connection: Any, pins: tuple[str, ...], checking: str) -> None:
    """Accept pinned keys only, or else what the known_hosts files hold.

    The name is that which ssh_config gave it: its HostName or HostKeyAlias.
    """
    alias = connection.ssh_config.get("hostkeyalias")
    place = known_hosts.place_of(alias or connection.host, 22 if alias else connection.port)
    if pins:
        try:
            keys = known_hosts.pinned(pins)
        except ValueError as error:
            raise Refused(f"{place}: {error}", hint="correct host_keys in hosts.yaml") from error
    else:
        keys = known_hosts.known(place, _known_hosts_texts(connection.ssh_config))
    connection.client.set_missing_host_key_policy(_policy(keys, place, checking))
    connection.connect_kwargs["disabled_algorithms"] = {"keys": keys.unwanted_algorithms}


def _known_hosts_texts(ssh_config: Mapping[str, Any]) -> list[str]:
    """What the files of ssh_config hold, or the usual ones; unreadable ones are passed by."""
    chosen = ssh_config.get("userknownhostsfile", "").split()
    paths = [*(Path(name) for name in chosen), *KNOWN_HOSTS[: 1 if chosen else None]]
    texts = []
    for path in paths:
        with contextlib.suppress(OSError):
            texts.append(path.expanduser().read_text("utf-8", "replace"))
    return texts


def _policy(keys: known_hosts.HostKeys, place: str, checking: str) -> paramiko.MissingHostKeyPolicy:
    """Judge the key that a host shows; raises SSHException unless it is one of its own."""
    import paramiko

    class Strict(paramiko.MissingHostKeyPolicy):
        def missing_host_key(
            self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
        ) -> None:
            shown = (key.get_name(), key.asbytes())
            if shown in keys.revoked:
                raise HostKeyRevokedError(f"the host key of {place} is REVOKED")
            if shown in keys.accepted:
                return
            if keys.accepted:
                raise HostKeyChangedError(
                    f"the host key of {place} has CHANGED; someone may be listening in"
                )
            if checking != "accept-new":
                raise HostKeyUnknownError(f"the host key of {place} is not known")
            _learn(place, key)

    return Strict()


def _learn(place: str, key: paramiko.PKey) -> None:
    """Write a key down, as OpenSSH's `accept-new` does; a changed one is refused from now on."""
    path = KNOWN_HOSTS[1].expanduser()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    old = path.read_text("utf-8", "replace") if path.exists() else ""
    start = "" if not old or old.endswith("\n") else "\n"
    with path.open("a") as file:
        file.write(f"{start}{place} {key.get_name()} {key.get_base64()}\n")


class HostKeyError(Exception):
    """A host, or the gateway to it, showed a key that is not good."""

    hint = ""


class HostKeyUnknownError(HostKeyError):
    """Nobody has said which key the host should show."""

    hint = "pin it under host_keys in hosts.yaml, or connect once with ssh and compare"


class HostKeyChangedError(HostKeyError):
    """The host shows another key than the one that is known."""

    hint = "check it with whoever runs the host, then correct host_keys or known_hosts"


class HostKeyRevokedError(HostKeyError):
    """The host shows a key that was declared stolen."""

    hint = "do not connect; ask who runs the host"


def _turned_away(error: Exception) -> bool:
    """Whether sshd dropped the connection before it said who it is."""
    return isinstance(error, EOFError | ConnectionResetError) or "banner" in str(error)


def explain(error: Exception, spec: HostSpec) -> Unreachable:
    """Turn what paramiko and the system raise into one sentence with a hint."""
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
