"""One SSH connection of paramiko, with the algorithms, the order and the words of OpenSSH.

Differences from paramiko's own class:

- it offers only algorithms that OpenSSH's defaults and ssh_config allow, AES-GCM first (paramiko
  compares MACs in Python);
- the request for the login service and the first key are sent together: one round trip fewer;
- it keeps what the server says before it refuses (a banner, the reason of a disconnect);
- a command is started without waiting for the server's confirmation: one round trip fewer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import paramiko
from paramiko import common
from paramiko.auth_handler import AuthOnlyHandler

from opstasks.core.errors import Refused
from opstasks.fleet.host_keys import preferred_kinds
from opstasks.fleet.ssh_settings import SSHSettings

# How long to wait for the server's list of signature algorithms; only RSA keys need it.
_SERVICE_TIMEOUT_S = 30.0
# How many lines of what the server says an error repeats.
_SAID_LINES = 4
# OpenSSH's defaults. What paramiko has and these lack (CBC, 3DES, MD5, 96-bit MACs) is not offered.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
# OpenSSH's code for curve25519 takes a server 1.8 ms longer than that for nistp256, which it allows
# as well.
QUICK_KEX, SLOW_KEX = "ecdh-sha2-nistp256", "curve25519-sha256"
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
)


class _Login(AuthOnlyHandler):
    """paramiko's, but ready for the answer before it asks.

    paramiko makes the event for the answer after it has sent the question. An answer that came
    between the two was lost, and the login waited for 30 seconds.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._wire = wire

    def send_auth_request(self, username: str, method: str, finish_message: Any = None) -> Any:
        self.auth_method, self.username = method, username
        message = paramiko.Message()
        message.add_byte(common.cMSG_USERAUTH_REQUEST)
        for word in (username, "ssh-connection", method):
            message.add_string(word)
        finish_message(message)
        self.auth_event = threading.Event()
        self._wire.send_now(message)
        return self.wait_for_response(self.auth_event)

    def _parse_userauth_banner(self, message: paramiko.Message) -> None:
        self._wire.banners.append(message.get_string().decode("utf-8", "replace"))


class Wire(paramiko.Transport):
    """A client's connection over a connected socket."""

    # paramiko's own, which the stubs lack.
    active: bool
    _handler_table: dict[int, Callable[[paramiko.Message], None]]
    _send_message: Callable[[paramiko.Message], None]
    _send_user_message: Callable[[paramiko.Message], None]

    def __init__(self, sock: Any, *, settings: SSHSettings, known_kinds: set[str]) -> None:
        """Raises Refused when ssh_config leaves no algorithm that is supported."""
        super().__init__(sock)
        self.daemon = True
        self.banners: list[str] = []
        self.reasons: list[str] = []
        self._service_accepted = threading.Event()
        self._login = _Login(self)
        self._handler_table[common.MSG_SERVICE_ACCEPT] = self._parse_service_accept
        options = self.get_security_options()
        options.ciphers = _allowed(settings, "ciphers", CIPHERS, options.ciphers)
        options.digests = _allowed(settings, "macs", MACS, options.digests)
        kex = _quick_first(settings.algorithms("kexalgorithms"))
        options.kex = _allowed(settings, "kexalgorithms", kex, options.kex)
        kinds = preferred_kinds(known_kinds, settings.algorithms("hostkeyalgorithms"))
        options.key_types = _allowed(settings, "hostkeyalgorithms", kinds, options.key_types)
        accepted = settings.algorithms("pubkeyacceptedalgorithms")
        unwanted = [name for name in self.preferred_pubkeys if name not in accepted]
        self.disabled_algorithms = {"pubkeys": unwanted}

    # -- the login ---------------------------------------------------------------------------

    def offer_key(self, user: str, key: paramiko.PKey) -> list[str]:
        """Log in with a key; the methods that the server wants in addition, [] when it is done.

        Raises AuthenticationException when the server does not accept the key.
        """
        self._ask_for_login()
        return self._login.auth_publickey(user, key)

    def _ask_for_login(self) -> None:
        """Ask for the login service, and do not wait: the server reads in order."""
        if not (self.active and self.initial_kex_done):
            raise paramiko.SSHException("the connection is closed")
        if self.auth_handler is None:
            message = paramiko.Message()
            message.add_byte(common.cMSG_SERVICE_REQUEST)
            message.add_string("ssh-userauth")
            self.auth_handler = self._login
            self.send_now(message)

    def await_extensions(self) -> None:
        """Wait for the server's list of signature algorithms, which comes before its answer."""
        self._ask_for_login()
        self._service_accepted.wait(_SERVICE_TIMEOUT_S)

    def _parse_service_accept(self, message: paramiko.Message) -> None:
        self._service_accepted.set()

    # -- what the server says ----------------------------------------------------------------

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        message.get_int()
        self.reasons.append(message.get_string().decode("utf-8", "replace"))

    @property
    def said(self) -> str:
        """What the server said before or during the login, in one line."""
        lines = [
            line.strip() for text in (*self.banners, *self.reasons) for line in text.split("\n")
        ]
        return "; ".join(line for line in lines[:_SAID_LINES] if line)

    # -- sending -----------------------------------------------------------------------------

    def send_now(self, message: paramiko.Message) -> None:
        """Send a message of the login."""
        with self.lock:
            self._send_message(message)

    def start_command(self, channel: paramiko.Channel, line: bytes) -> None:
        """Start a command on a channel; when that fails, the server closes the channel."""
        message = paramiko.Message()
        message.add_byte(common.cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(False)
        message.add_string(line)
        self._send_user_message(message)


def _quick_first(names: list[str]) -> list[str]:
    """The methods of key exchange, with the quick one before the slow one."""
    if QUICK_KEX not in names:
        return names
    others = [name for name in names if name != QUICK_KEX]
    at = next((at for at, name in enumerate(others) if name.startswith(SLOW_KEX)), len(others))
    return [*others[:at], QUICK_KEX, *others[at:]]


def _allowed(
    settings: SSHSettings, keyword: str, wanted: Iterable[str], supported: Iterable[str]
) -> tuple[str, ...]:
    """What is wanted, supported here, and allowed by OpenSSH with these settings, in order."""
    allowed = set(settings.algorithms(keyword)) & set(supported)
    found = tuple(name for name in wanted if name in allowed)
    if not found:
        line = settings.line_of(keyword)
        raise Refused(f"{line}: no algorithm in {keyword} is supported", hint="allow one more")
    return found
