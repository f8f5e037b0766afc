"""One SSH login: connect, check the host's key, offer our keys; every failure gets its reason."""

from __future__ import annotations

import contextlib
import functools
import socket
from dataclasses import dataclass
from typing import Any

import paramiko

from opstasks.core.errors import Refused, Unreachable
from opstasks.core.hints import one_word
from opstasks.fleet.host_keys import HostKeyError, TrustedKeys, trusted_keys
from opstasks.fleet.key_login import KeyLogin
from opstasks.fleet.login_errors import LoginError
from opstasks.fleet.proxy import Proxy
from opstasks.fleet.route import Hop
from opstasks.fleet.tcp import connect_tcp
from opstasks.fleet.wire import NoLoginAnswerError, Wire, in_one_line

AUTH_TIMEOUT_S = 30


class TurnedAwayError(Exception):
    """sshd closed the connection before its greeting, as it does above MaxStartups."""

    def __init__(self, reason: Unreachable) -> None:
        super().__init__(reason.message)
        self.reason = reason


class ForwardingForbiddenError(Exception):
    """sshd forwards no connections."""


class NoAnswerError(Exception):
    """The host did not make a connection for us."""


@dataclass
class Link:
    """A login: paramiko's connection, and Fabric's above it for authors of tasks.

    `key` is the name of the key that the host accepted.
    """

    hop: Hop
    wire: Wire
    proxy: Proxy | None = None
    key: str = ""

    @functools.cached_property
    def connection(self) -> Any:
        """Fabric's connection, made at first use: it takes a sixth of a login's time."""
        from opstasks.fleet.fabric_connection import fabric_connection

        settings = self.hop.settings
        return fabric_connection(self.wire, settings.hostname, settings.user, settings.port)

    @property
    def problem(self) -> str:
        """Why it ended, in the words of the proxy or the server; "" if not known."""
        return (self.proxy.problem if self.proxy else "") or "; ".join(self.wire.reasons)

    def close(self) -> None:
        """Close it; a connection that is lost meanwhile is not an error."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self.wire.close()
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


def _peer(sock: socket.socket) -> str:
    """The other side's address; "" if it has closed the connection already."""
    try:
        return str(sock.getpeername()[0])
    except OSError:
        return ""


def _log_in(hop: Hop, sock: Any, proxy: Proxy | None) -> Link:
    try:
        trusted = _trusted(hop, sock, proxy)
        wire = Wire(sock, settings=hop.settings, known_kinds=trusted.keys.kinds)
    except BaseException:
        sock.close()
        raise
    made = Link(hop, wire, proxy)
    try:
        _start(made, trusted)
    except BaseException as error:
        reason = proxy.problem if proxy else ""
        made.close()
        if isinstance(error, Exception) and not isinstance(error, Refused):
            raise _explained(error, made, reason) from error
        raise
    return made


def _trusted(hop: Hop, sock: Any, proxy: Proxy | None) -> TrustedKeys:
    """The keys that the host may show; raises Refused for settings that are not supported."""
    is_direct = isinstance(sock, socket.socket) and proxy is None
    return trusted_keys(hop.settings, hop.pins, hop.checking, _peer(sock) if is_direct else "")


def _start(made: Link, trusted: TrustedKeys) -> None:
    """Exchange keys, check the host's key, log in; raises what paramiko raises."""
    wire, hop = made.wire, made.hop
    wire.banner_timeout = wire.channel_timeout = hop.timeout_s
    wire.auth_timeout = AUTH_TIMEOUT_S
    wire.start_client(timeout=hop.timeout_s)
    trusted.check(wire.get_remote_server_key())
    made.key = KeyLogin(hop, wire).authenticate()


# -- sockets -----------------------------------------------------------------------------------


def _socket(hop: Hop, through: Link | None) -> Any:
    """A connection to the host's port: our own, or one that a gateway makes."""
    settings = hop.settings
    where = f"{settings.hostname}:{settings.port}"
    if through is None:
        return connect_tcp(hop, where)
    gateway = through.hop.name
    try:
        return dial(through, settings.hostname, settings.port, hop.timeout_s)
    except ForwardingForbiddenError as error:
        # The same text for all hosts behind it: it is the gateway's setting.
        text = f"gateway {gateway}: its sshd does not forward connections"
        hint = f"set AllowTcpForwarding and PermitOpen in sshd_config of {one_word(gateway)}"
        raise Unreachable(text, hint=hint) from error
    except EOFError as error:
        raise Unreachable(f"gateway {gateway}: connection lost", hint="run it again") from error
    except NoAnswerError as error:
        text = f"the gateway {gateway} is up, but cannot connect to {where}: {error}"
        raise Unreachable(
            text, hint=f"is the host up? {one_word(gateway)} must reach it"
        ) from error


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


# -- reasons -----------------------------------------------------------------------------------


def _explained(error: Exception, made: Link, proxy_problem: str) -> Unreachable | TurnedAwayError:
    """The error for an exception of paramiko or the system: one sentence and a hint."""
    settings = made.hop.settings
    if isinstance(error, LoginError):
        words = f" ({made.proxy.words})" if made.proxy and made.proxy.words else ""
        return Unreachable(f"{error}{words}", hint=error.hint)
    if isinstance(error, HostKeyError):
        refused = Unreachable(str(error), hint=error.hint)
        refused.own_line = error.shown
        return refused
    if proxy_problem:
        hint = f"check ProxyCommand: {settings.line_of('proxycommand')}"
        return Unreachable(proxy_problem, hint=hint)
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return _incompatible(error, made)
    if isinstance(error, EOFError | OSError) and not isinstance(error, TimeoutError):
        return _closed(made)
    return _late(error, made) or _other(error, made)


def _where(made: Link) -> str:
    return f"{made.hop.settings.hostname}:{made.hop.settings.port}"


def _hint(made: Link) -> str:
    return f"try `ssh {made.hop.settings.name}`"


def _closed(made: Link) -> Unreachable | TurnedAwayError:
    """The error for a host that closed the connection."""
    said = made.wire.said
    words = f": {said}" if said else ""
    reason = Unreachable(f"{_where(made)} closed the connection{words}", hint=_hint(made))
    # A new try helps only if sshd was too busy to look at us at all.
    is_busy = not made.wire.remote_version and (not said or "MaxStartups" in said)
    return TurnedAwayError(reason) if is_busy else reason


def _late(error: Exception, made: Link) -> Unreachable | None:
    """The error for a host that did not answer in time; None for another exception."""
    if isinstance(error, NoLoginAnswerError):
        text = f"no answer to the login from {_where(made)} within {AUTH_TIMEOUT_S} s"
        return Unreachable(text, hint=_hint(made))
    # paramiko says "No existing session" when its time limit passes.
    if isinstance(error, TimeoutError) or str(error) in ("No existing session", "Timeout."):
        what = "key exchange" if made.wire.remote_version else "greeting"
        return Unreachable(
            f"no {what} from {_where(made)} within {made.hop.timeout_s:g} s",
            hint="is sshd overloaded, or is it another service?",
        )
    return None


def _other(error: Exception, made: Link) -> Unreachable:
    text = in_one_line(str(error)) or type(error).__name__
    words = f": {made.wire.said}" if made.wire.said else ""
    return Unreachable(f"cannot log in to {_where(made)}: {text}{words}", hint=_hint(made))


# How paramiko names what did not fit, the keyword of ssh_config, and the server's list.
_NO_MATCH = (
    ("kex", "KexAlgorithms", "kex_algo_list"),
    ("host key", "HostKeyAlgorithms", "server_key_algo_list"),
    ("cipher", "Ciphers", "server_encrypt_algo_list"),
    ("mac", "MACs", "server_mac_algo_list"),
)


def _incompatible(error: Exception, made: Link) -> Unreachable:
    """The error when no algorithm fits: which kind, what the host has, and what we may use."""
    where, text = _where(made), str(error)
    found = [entry for entry in _NO_MATCH if entry[0] in text.lower()]
    hint = _hint(made)
    if not found:
        return Unreachable(
            f"{where} supports none of our algorithms: {in_one_line(text)}", hint=hint
        )
    _, keyword, name = found[0]
    theirs = in_one_line(", ".join(map(str, made.wire.offered.get(name, []))))
    line = made.hop.settings.line_of(keyword.lower())
    return Unreachable(
        f"{where} supports none of our {keyword} ({line}); it has only: {theirs}", hint=hint
    )
