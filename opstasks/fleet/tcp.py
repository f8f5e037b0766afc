"""A TCP connection, made as OpenSSH makes it: AddressFamily, BindAddress, each address in turn."""

from __future__ import annotations

import socket
from typing import Any

from opstasks.core.errors import Unreachable
from opstasks.fleet.route import Hop

# A connection without an acknowledgement for this long is lost (Linux waits 15 minutes).
SILENCE_S = 90
CHECK_NETWORK = "is the host up, and the VPN?"
FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


def connect_tcp(hop: Hop, where: str) -> socket.socket:
    """A TCP connection, tried at each address as OpenSSH does; raises Unreachable."""
    settings = hop.settings
    family = FAMILIES.get(settings.one("addressfamily"), socket.AF_UNSPEC)
    try:
        found = socket.getaddrinfo(settings.hostname, settings.port, family, socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        text = f"no address for {settings.hostname!r}"
        raise Unreachable(
            text, hint="check `address` in hosts.yaml, or HostName in ssh_config"
        ) from error
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


def _unreachable(error: OSError, where: str, timeout_s: float) -> Unreachable:
    """The error for a TCP connection that is not made."""
    if isinstance(error, TimeoutError):
        return Unreachable(f"no answer from {where} within {timeout_s:g} s", hint=CHECK_NETWORK)
    reason = (error.strerror or str(error)).lower()
    return Unreachable(f"cannot connect to {where}: {reason}", hint=CHECK_NETWORK)
