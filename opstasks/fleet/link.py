"""One SSH login: connect, check the host's key, offer our keys; every failure gets its reason."""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from dataclasses import dataclass
from typing import Any

import fabric
import paramiko

from opstasks.core.errors import Refused, Unreachable
from opstasks.fleet import login
from opstasks.fleet.host_keys import HostKeyError, TrustedKeys, trusted_keys
from opstasks.fleet.proxy import Proxy
from opstasks.fleet.route import Hop
from opstasks.fleet.wire import NoLoginAnswerError, Wire

# A connection without an acknowledgement for this long is lost (Linux waits 15 minutes).
SILENCE_S = 90
AUTH_TIMEOUT_S = 30
# How long all keys together may take; sshd's own limit, LoginGraceTime, is the same.
LOGIN_TIMEOUT_S = 120
# How much of a server's words an error repeats.
WORDS_LENGTH = 200
CHECK_NETWORK = "is the host up, and the VPN?"
FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


class TurnedAwayError(Exception):
    """sshd closed the connection before its greeting, as it does above MaxStartups."""

    def __init__(self, reason: Unreachable) -> None:
        super().__init__(reason.message)
        self.reason = reason


class ForwardingForbiddenError(Exception):
    """sshd forwards no connections."""


class NoAnswerError(Exception):
    """A connection that the host makes for us does not come about."""


@dataclass
class Link:
    """A login that was made: Fabric's connection, and paramiko's below it."""

    hop: Hop
    connection: Any
    wire: Wire
    proxy: Proxy | None = None

    @property
    def problem(self) -> str:
        """Why it ended, in the words of the proxy or the server; "" if not known."""
        return (self.proxy.problem if self.proxy else "") or "; ".join(self.wire.reasons)

    def close(self) -> None:
        """Close it; that the connection is lost meanwhile is no error."""
        for close in (self.connection.close, self.wire.close):
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                close()
        if self.proxy is not None:
            self.proxy.close()


def close_all(links: list[Link]) -> None:
    """Close connections, the last one first."""
    while links:
        links.pop().close()


def connect(hop: Hop, through: Link | None) -> Link:
    """Log in to a host, directly or through another one.

    Raises Unreachable with the reason, TurnedAwayError, or Refused for settings that forbid it.
    """
    proxy = Proxy(hop.command) if hop.command else None
    try:
        sock = proxy.sock if proxy else _socket(hop, through)
        return _log_in(hop, sock, proxy)
    except BaseException:
        if proxy is not None:
            proxy.close()
        raise


def _prepared(hop: Hop, sock: Any, proxy: Proxy | None) -> Link:
    """The login before its first message; raises Refused for settings that are not supported."""
    is_direct = isinstance(sock, socket.socket) and proxy is None
    trusted = trusted_keys(hop.settings, hop.pins, hop.checking, _peer(sock) if is_direct else "")
    wire = Wire(sock, settings=hop.settings, known_kinds=trusted.keys.kinds)
    return Link(hop, _connection(hop, wire, trusted), wire, proxy)


def _peer(sock: socket.socket) -> str:
    """The other side's address; "" if it has closed the connection already."""
    try:
        return str(sock.getpeername()[0])
    except OSError:
        return ""


def _log_in(hop: Hop, sock: Any, proxy: Proxy | None) -> Link:
    try:
        made = _prepared(hop, sock, proxy)
    except BaseException:
        sock.close()
        raise
    try:
        made.connection.open()
    except BaseException as error:
        reason = proxy.problem if proxy else ""
        made.close()
        if isinstance(error, Exception) and not isinstance(error, Refused):
            raise _explained(error, made, reason) from error
        raise
    return made


def _connection(hop: Hop, wire: Wire, trusted: TrustedKeys) -> Any:
    """Fabric's connection, not open yet; it has no settings of its own."""
    connection: Any = fabric.Connection(
        host=hop.settings.hostname,
        user=hop.settings.user,
        port=hop.settings.port,
        config=_config(),
        connect_timeout=hop.timeout_s,
        connect_kwargs={
            "sock": wire.sock,
            "transport_factory": lambda *_, **__: wire,
            "auth_strategy": _KeyLogin(hop, wire),
            "banner_timeout": hop.timeout_s,
            "auth_timeout": AUTH_TIMEOUT_S,
            "channel_timeout": hop.timeout_s,
        },
    )
    connection.client.set_missing_host_key_policy(_Policy(trusted))
    return connection


@functools.cache
def _config() -> fabric.Config:
    """Fabric's settings, without its files (a `gateway` in ~/.fabric.yaml), and without ssh_config.

    OpenSSH has read ssh_config.
    """
    return fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True)


class _Policy(paramiko.MissingHostKeyPolicy):
    """Raises HostKeyError for a key that is not accepted."""

    def __init__(self, trusted: TrustedKeys) -> None:
        self._trusted = trusted

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        """Check every key: paramiko itself knows none."""
        self._trusted.check(key)


class LoginError(Exception):
    """The host accepts none of our keys; `hint` says what to do."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


class _KeyLogin:
    """An `AuthStrategy` of paramiko: offers the keys as OpenSSH does."""

    def __init__(self, hop: Hop, wire: Wire) -> None:
        self._hop, self._wire = hop, wire
        self._agent_problem = ""

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Log in; raises LoginError, or NoLoginAnswerError when the host says nothing."""
        with login.identities(self._hop.settings) as found:
            deadline = time.monotonic() + LOGIN_TIMEOUT_S
            tried = 0
            for offer in found.offers:
                if time.monotonic() > deadline:
                    raise NoLoginAnswerError
                tried += 1
                if self._accepts(offer):
                    return
                if not self._wire.is_active():
                    break
        raise self._refusal(found, tried)

    def _accepts(self, offer: login.Offer) -> bool:
        """Offer one key; False when the host wants another one, or closes the connection.

        No OSError leaves this: the host may count failed logins, so none is made again.
        """
        user = self._hop.settings.user
        try:
            if "rsa" in offer.key.get_name():
                self._wire.await_extensions()
            left = self._wire.offer_key(user, offer.key)
        except paramiko.BadAuthenticationType as error:
            methods = in_one_line(", ".join(error.allowed_types))
            raise LoginError(
                f"the host accepts no key, only: {methods}", "only logins with keys work"
            ) from error
        except login.AgentError as error:
            self._agent_problem = f"{offer.name}: {error}"
            return False
        except (paramiko.SSHException, EOFError, OSError):
            return False
        if left and "publickey" not in left:
            methods = in_one_line(", ".join(left))
            raise LoginError(f"the host also wants: {methods}", "only logins with keys work")
        return not left

    def _refusal(self, found: login.Identities, tried: int) -> LoginError:
        settings = self._hop.settings
        where = f"{settings.user}@{settings.hostname}:{settings.port}"
        said = self._wire.said
        if "Too many authentication failures" in said:
            return LoginError(
                f"too many keys: {where} closed the connection after {tried}",
                "set IdentitiesOnly and IdentityFile for it in ssh_config",
            )
        if tried and not said and not self._wire.is_active():
            return LoginError(
                f"{where} closed the connection during the login", f"try `ssh {settings.name}`"
            )
        if self._agent_problem:
            return LoginError(
                f"the agent does not sign: {self._agent_problem}",
                "does it wait for you to confirm?",
            )
        locked = [name for name, problem in found.unusable.items() if "passphrase" in problem]
        others = [f"{name}: {problem}" for name, problem in found.unusable.items()]
        if locked:
            return LoginError(
                f"{where} did not accept our key; {locked[0]} is locked", f"ssh-add {locked[0]}"
            )
        if not tried:
            reason = f" ({others[0]})" if others else ""
            return LoginError(f"no key to offer to {where}{reason}", "ssh-add it, or give -i")
        words = f": {said}" if said else ""
        return LoginError(
            f"{where} did not accept our key{words}", "check `user`, your agent and your key"
        )


# -- sockets -----------------------------------------------------------------------------------


def _socket(hop: Hop, through: Link | None) -> Any:
    """A connection to the host's port: our own, or one that a gateway makes."""
    settings = hop.settings
    where = f"{settings.hostname}:{settings.port}"
    if through is None:
        return _tcp(hop, where)
    gateway = through.hop.name
    try:
        return dial(through, settings.hostname, settings.port, hop.timeout_s)
    except ForwardingForbiddenError as error:
        text = f"the gateway {gateway} does not forward connections to {where}"
        hint = "set AllowTcpForwarding in its sshd_config"
        raise Unreachable(text, hint=hint) from error
    except (NoAnswerError, EOFError) as error:
        text = f"the gateway {gateway} cannot connect to {where}: {error or 'connection lost'}"
        raise Unreachable(text, hint=CHECK_NETWORK) from error


def _tcp(hop: Hop, where: str) -> socket.socket:
    """A TCP connection, tried at each address as OpenSSH does; raises Unreachable."""
    settings = hop.settings
    family = FAMILIES.get(settings.one("addressfamily"), socket.AF_UNSPEC)
    try:
        found = socket.getaddrinfo(settings.hostname, settings.port, family, socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        text = f"no address for {settings.hostname!r}"
        raise Unreachable(text, hint="check `address` in hosts.yaml") from error
    problem: OSError = OSError("no address")
    for kind, type_, protocol, _, address in found:
        try:
            return _connected(socket.socket(kind, type_, protocol), hop, address)
        except OSError as error:
            problem = error
    raise _unreachable(problem, where, hop.timeout_s) from problem


def _connected(sock: socket.socket, hop: Hop, address: Any) -> socket.socket:
    """The same socket, connected; raises OSError."""
    try:
        sock.settimeout(hop.timeout_s)
        _set_options(sock, hop.settings.is_on("tcpkeepalive"))
        if hop.settings.one("bindaddress"):
            sock.bind((hop.settings.one("bindaddress"), 0))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _set_options(sock: socket.socket, keepalive: bool) -> None:
    """Send small packets at once, and notice a dead network long before the system would.

    Every open shell sends a heartbeat, so there is always something that should be acknowledged.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)


def dial(through: Link, address: str, port: int, timeout_s: float) -> paramiko.Channel:
    """A TCP connection that a host makes for us.

    Raises ForwardingForbiddenError, NoAnswerError, or EOFError when the connection is lost.
    """
    try:
        channel: paramiko.Channel = through.wire.open_channel(
            "direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout_s
        )
    except paramiko.ChannelException as error:
        if error.code == paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED:
            raise ForwardingForbiddenError from error
        raise NoAnswerError(in_one_line(error.text.lower())) from error
    except paramiko.SSHException as error:
        if not through.wire.is_active():
            raise EOFError from error
        raise NoAnswerError(f"no answer within {timeout_s:g} s") from error
    channel.settimeout(timeout_s)
    return channel


def in_one_line(text: str) -> str:
    """A server's words, cut to what an error repeats."""
    return " ".join(text.split())[:WORDS_LENGTH]


# -- reasons -----------------------------------------------------------------------------------


def _unreachable(error: OSError, where: str, timeout_s: float) -> Unreachable:
    """The error for a TCP connection that is not made."""
    if isinstance(error, TimeoutError):
        return Unreachable(f"no answer from {where} within {timeout_s:g} s", hint=CHECK_NETWORK)
    reason = (error.strerror or str(error)).lower()
    return Unreachable(f"cannot connect to {where}: {reason}", hint=CHECK_NETWORK)


def _explained(error: Exception, made: Link, proxy_problem: str) -> Unreachable | TurnedAwayError:
    """The error for an exception of paramiko or the system: one sentence and a hint."""
    settings, said = made.hop.settings, made.wire.said
    where = f"{settings.hostname}:{settings.port}"
    if isinstance(error, HostKeyError | LoginError):
        return Unreachable(str(error), hint=error.hint)
    if proxy_problem:
        hint = f"check ProxyCommand: {settings.line_of('proxycommand')}"
        return Unreachable(proxy_problem, hint=hint)
    if isinstance(error, NoLoginAnswerError):
        text = f"no answer to the login from {where} within {AUTH_TIMEOUT_S} s"
        return Unreachable(text, hint=f"try `ssh {settings.name}`")
    greeting = made.wire.remote_version
    # paramiko says "No existing session" when its time limit passes.
    if isinstance(error, TimeoutError) or str(error) in ("No existing session", "Timeout."):
        what = "key exchange" if greeting else "greeting"
        return Unreachable(
            f"no {what} from {where} within {made.hop.timeout_s:g} s",
            hint="is sshd overloaded, or is it another service?",
        )
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        text = f"{where} supports none of our algorithms: {in_one_line(str(error))}"
        return Unreachable(text, hint=f"try `ssh {settings.name}`")
    words = f": {said}" if said else ""
    if isinstance(error, EOFError | OSError):
        reason = Unreachable(
            f"{where} closed the connection{words}", hint=f"try `ssh {settings.name}`"
        )
        # Another try is of use only when sshd was too busy to look at us at all.
        is_busy = not greeting and (not said or "MaxStartups" in said)
        return TurnedAwayError(reason) if is_busy else reason
    text = in_one_line(str(error)) or type(error).__name__
    return Unreachable(
        f"cannot log in to {where}: {text}{words}", hint=f"try `ssh {settings.name}`"
    )
