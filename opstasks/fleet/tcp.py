"""A TCP connection, made as OpenSSH makes it: AddressFamily, BindAddress, each address in turn."""

from __future__ import annotations

import errno
import socket
from typing import Any

from opstasks.core.errors import Unreachable
from opstasks.fleet.route import Hop

# A connection without an acknowledgement for this long is lost (Linux waits 15 minutes).
SILENCE_S = 90
CHECK_NETWORK = "is the host up, and the VPN?"
NO_SSHD = "the host answers, but no sshd there: check `port` in hosts.yaml, and sshd on the host"
FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


def connect_tcp(hop: Hop, where: str) -> socket.socket:
    """A TCP connection, tried at each address as OpenSSH does; raises Unreachable."""
    settings = hop.settings
    family = FAMILIES.get(settings.one("addressfamily"), socket.AF_UNSPEC)
    try:
        found = socket.getaddrinfo(settings.hostname, settings.port, family, socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise _no_address(error, hop) from error
    problem: OSError = OSError("no address")
    for kind, type_, protocol, _, address in found:
        try:
            return _connected(socket.socket(kind, type_, protocol), hop, address)
        except OSError as error:
            problem = error
    raise _unreachable(problem, where, hop.timeout_s) from problem


def _no_address(error: Exception, hop: Hop) -> Unreachable:
    """The error for a name without an address, or for a name service that does not answer."""
    settings = hop.settings
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        text = f"cannot look up {settings.hostname!r}: the name service does not answer"
        return Unreachable(text, hint="is your network up, and the VPN?")
    if settings.one("addressfamily") in FAMILIES:
        line = settings.line_of("addressfamily")
        family = settings.one("addressfamily")
        text = f"no address for {settings.hostname!r} with AddressFamily {family}"
        return Unreachable(text, hint=f"check AddressFamily: {line}")
    return Unreachable(
        f"no address for {settings.hostname!r}",
        hint="check `address` in hosts.yaml, or HostName in ssh_config",
    )


def _connected(sock: socket.socket, hop: Hop, address: Any) -> socket.socket:
    """The same socket, connected; raises OSError."""
    try:
        sock.settimeout(hop.timeout_s)
        _set_options(sock, hop.settings.is_on("tcpkeepalive"))
        _bind(sock, hop)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, hop: Hop) -> None:
    """Use the address of BindAddress, if there is one; raises Unreachable."""
    wanted = hop.settings.one("bindaddress")
    try:
        if wanted:
            sock.bind((wanted, 0))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        line = hop.settings.line_of("bindaddress")
        text = f"cannot connect from BindAddress {wanted}: {reason}"
        raise Unreachable(text, hint=f"check BindAddress: {line}") from error


def _set_options(sock: socket.socket, keepalive: bool) -> None:
    """Send small packets at once, and notice a dead network long before the system would.

    Every open shell sends a heartbeat, so there is always something that should be acknowledged.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)


def _unreachable(error: OSError, where: str, timeout_s: float) -> Unreachable:
    """The error for a TCP connection that is not made."""
    if isinstance(error, TimeoutError):
        return Unreachable(f"no answer from {where} within {timeout_s:g} s", hint=CHECK_NETWORK)
    reason = (error.strerror or str(error)).lower()
    hint = NO_SSHD if error.errno == errno.ECONNREFUSED else CHECK_NETWORK
    return Unreachable(f"cannot connect to {where}: {reason}", hint=hint)
