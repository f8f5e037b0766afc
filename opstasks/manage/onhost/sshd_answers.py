"""Runs on the host as root: whether sshd answers where it listens; changes nothing."""

import contextlib
import re
import shlex
import socket
import time

from opstasks.manage.onhost.effect_sshd import DEFAULTS, TIMEOUT_S, effective, options
from opstasks.onhost.commands import attempt, said
from opstasks.onhost.plain_text import text_of
from opstasks.onhost.protocol import HostFailure

# An IP address and a port.
Address = tuple[str, int]
# systemd listens for sshd on some systems, and starts it for a connection.
SOCKET = "ssh.socket"
# A server that listens on all addresses also answers on these.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
PATIENCE_S, CONNECT_S, POLL_S = 5.0, 2.0, 0.1
_LISTEN = re.compile(r"(\S+):(\d{1,5})")


def check_sshd() -> None:
    """Raise HostFailure when sshd does not answer on one of its ports."""
    ports: dict[int, list[Address]] = {}
    for address in listens():
        ports.setdefault(address[1], []).append(address)
    for addresses in ports.values():
        # sshd also starts if it cannot use some of its addresses.
        if not answers(addresses):
            where = ", ".join(
                f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip, port in addresses
            )
            raise HostFailure(f"sshd no longer answers on {where}")


def listens() -> list[Address]:
    """Where sshd listens, as systemd or sshd itself says; raises HostFailure."""
    shown = attempt(
        "systemctl", "show", SOCKET, "--property=ActiveState,Listen", timeout_s=TIMEOUT_S
    )
    lines = shown.stdout.split("\n")
    if "ActiveState=active" in lines:
        return addresses_of(lines, "Listen=")
    started_with = shlex.split(options(text_of(DEFAULTS)))
    done = effective(*started_with)
    found = addresses_of(done.stdout.split("\n"), "listenaddress ")
    if not found:
        raise HostFailure("sshd does not say where it listens", "\n".join(said(done)[-3:]))
    return found


def addresses_of(lines: list[str], key: str) -> list[Address]:
    """The addresses in the lines that begin with a key: ``listenaddress [::]:22``."""
    words = [line.removeprefix(key).split() for line in lines if line.startswith(key)]
    found = [_LISTEN.fullmatch(word[0]) for word in words if word]
    return [(match[1].strip("[]"), int(match[2])) for match in found if match]


def answers(addresses: list[Address], patience_s: float = PATIENCE_S) -> bool:
    """Whether an sshd answers on one of these; waits a moment, as it may be reloading."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if any(map(is_sshd, addresses)):
            return True
        time.sleep(POLL_S)
    return False


def is_sshd(address: Address) -> bool:
    """Whether an sshd answers there."""
    ip, port = address
    place = (LOOPBACK.get(ip, ip), port)
    with contextlib.suppress(OSError), socket.create_connection(place, CONNECT_S) as stream:
        return stream.recv(4) == b"SSH-"
    return False
