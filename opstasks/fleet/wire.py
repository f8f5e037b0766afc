"""One SSH connection of paramiko, with the algorithms, the order and the words of OpenSSH.

Differences from paramiko's own class:

- it offers only algorithms that OpenSSH's defaults and ssh_config allow, AES-GCM first (paramiko
  compares MACs in Python);
- the request for the login service and the first key are sent together: one round trip fewer;
- it keeps what the server says before it refuses (a line before its greeting, a banner, the reason
  of a disconnect), but not more than a person reads;
- a command is started without waiting for the server's confirmation: one round trip fewer;
- the server's key is the one that was negotiated, with that signature, and never changes;
- a server cannot make us wait for a packet that OpenSSH would not accept.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import paramiko
from paramiko import common
from paramiko.auth_handler import AuthOnlyHandler
from paramiko.packet import Packetizer

from opstasks.core.errors import Refused
from opstasks.core.lines import clipped
from opstasks.fleet.agent import HostProof
from opstasks.fleet.host_keys import NOT_OURS, HostKeyChangedError, kind_of, preferred_kinds
from opstasks.fleet.ssh_settings import SSHSettings

# How long to wait for the server's list of signature algorithms; only RSA keys need it.
_SERVICE_TIMEOUT_S = 30.0
# How soon a lost connection is noticed while waiting for that.
_LOOK_S = 0.1
# How many lines of what the server says an error repeats, and how much is kept at all.
_SAID_LINES, _SAID_LENGTH = 4, 400
_KEPT_LENGTH = 4096
# How much of a server's words an error repeats.
WORDS_LENGTH = 200
# OpenSSH's limit for one packet; and how much text may come before the greeting.
_PACKET_BYTES = 256 << 10
_GREETING_BYTES = 64 << 10
_PART_BYTES = 1024
# OpenSSH's defaults. What paramiko has and these lack (CBC, 3DES, MD5, 96-bit MACs) is not offered.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
# In OpenSSH, curve25519 takes a server 1.8 ms longer than nistp256, which it allows as well.
QUICK_KEX, CURVE = "ecdh-sha2-nistp256", "curve25519-sha256"
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
)


class NoLoginAnswerError(Exception):
    """The server does not answer to the login."""


class _Packets(Packetizer):
    """paramiko's, but never waits for more than OpenSSH would."""

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._sock = sock
        self._greeting_bytes = 0

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > _PACKET_BYTES:
            raise paramiko.SSHException("the server sent a packet that is too long")
        return super().read_all(n, check_rekey)

    def readline(self, timeout: float) -> str:
        try:
            return super().readline(timeout)
        except UnicodeDecodeError:  # of the text before the greeting
            return ""

    def _read_timeout(self, timeout: float) -> bytes:
        """Some bytes of the greeting, for `readline`."""
        deadline = time.monotonic() + timeout
        while True:
            with contextlib.suppress(TimeoutError):
                data: bytes = self._sock.recv(_PART_BYTES)
                break
            if self.closed:
                raise EOFError
            if time.monotonic() > deadline:
                raise TimeoutError
        if not data:
            raise EOFError
        self._greeting_bytes += len(data)
        if self._greeting_bytes > _GREETING_BYTES:
            raise paramiko.SSHException("it sends text without end")
        return data


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

    def _parse_userauth_info_request(self, message: paramiko.Message) -> None:
        """The server would accept the key that it was asked about (this number has two uses)."""
        self._wire.would_accept = True
        if self.auth_event:
            self.auth_event.set()

    def wait_for_response(self, event: threading.Event) -> Any:
        try:
            return super().wait_for_response(event)
        except paramiko.AuthenticationException as error:
            if not event.is_set() and self._wire.is_active():
                raise NoLoginAnswerError from error
            raise

    def ask_about_key(self, username: str, kind: str, blob: bytes) -> None:
        """Show a public key without a signature."""

        def finish(message: paramiko.Message) -> None:
            message.add_boolean(False)
            message.add_string("rsa-sha2-512" if kind == "ssh-rsa" else kind)
            message.add_string(blob)

        self.send_auth_request(username, "publickey", finish)

    def _parse_userauth_banner(self, message: paramiko.Message) -> None:
        self._wire.keep(message.get_string())


class Wire(paramiko.Transport):
    """A client's connection over a connected socket."""

    # paramiko's own, which the stubs lack.
    active: bool
    _handler_table: dict[int, Callable[[paramiko.Message], None]]
    _send_message: Callable[[paramiko.Message], None]
    _send_user_message: Callable[[paramiko.Message], None]
    _filter_algorithm: Callable[[str], Iterable[str]]
    host_key: paramiko.PKey  # None before the key exchange
    host_key_type: str
    _key_info: dict[str, Callable[[paramiko.Message], paramiko.PKey]]
    H: bytes
    session_id: bytes
    _kex_info: dict[str, Any]
    _really_parse_kex_init: Callable[[paramiko.Message, bool], dict[str, Any]]

    def __init__(self, sock: Any, *, settings: SSHSettings, known_kinds: set[str]) -> None:
        """Raises Refused when ssh_config leaves no algorithm that is supported."""
        super().__init__(sock, packetizer_class=_Packets)
        self.daemon = True
        self.banners: list[str] = []
        self.reasons: list[str] = []
        self.would_accept = False
        self.offered: dict[str, Any] = {}
        self._proof = (b"", b"")
        self._service_accepted = threading.Event()
        self._login = _Login(self)
        self._handler_table[common.MSG_SERVICE_ACCEPT] = self._parse_service_accept
        self._read_lists = self._really_parse_kex_init
        self._really_parse_kex_init = self._keep_lists
        # OpenSSH has two names for this method, and paramiko only one.
        self._kex_info = {**self._kex_info, CURVE: self._kex_info[f"{CURVE}@libssh.org"]}
        options = self.get_security_options()
        options.ciphers = _allowed(settings, "ciphers", CIPHERS, options.ciphers)
        options.digests = _allowed(settings, "macs", MACS, options.digests)
        kex = _quick_first(settings.algorithms("kexalgorithms"))
        options.kex = _allowed(settings, "kexalgorithms", kex, (*options.kex, CURVE))
        kinds = preferred_kinds(known_kinds, settings.algorithms("hostkeyalgorithms"))
        options.key_types = _allowed(settings, "hostkeyalgorithms", kinds, options.key_types)
        accepted = settings.algorithms("pubkeyacceptedalgorithms")
        unwanted = [name for name in self.preferred_pubkeys if name not in accepted]
        self.disabled_algorithms = {"pubkeys": unwanted}

    # -- the greeting and the host's key -----------------------------------------------------

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """The types of host keys, without certificates: their authorities are not known here."""
        return tuple(self._filter_algorithm("keys"))

    def _check_banner(self) -> None:
        """Read the server's greeting, and keep the lines before it."""
        while not (line := self.packetizer.readline(self.banner_timeout)).startswith("SSH-"):
            self.keep(line.encode())
        if not line.startswith(("SSH-2.0-", "SSH-1.99-")):
            raise paramiko.SSHException(f"Incompatible version: {line[:40]}")
        self.remote_version = line

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        """Check the proof of the host's key as OpenSSH does, also for later key exchanges."""
        before, algorithm = self.host_key, self.host_key_type
        shown = self._key_info[algorithm](paramiko.Message(host_key))
        signed_with = paramiko.Message(sig).get_string()
        if signed_with != algorithm.encode() or shown.get_name() != kind_of(algorithm):
            text = f"the host's key is not the {algorithm} key that it offered"
            raise HostKeyChangedError(text, NOT_OURS)
        if not shown.verify_ssh_sig(self.H, paramiko.Message(sig)):
            raise HostKeyChangedError("the host cannot prove that its key is its own", NOT_OURS)
        if before is not None and before.asbytes() != shown.asbytes():
            text = "the host's key CHANGED in the middle of the session"
            self.reasons.append(text)
            raise HostKeyChangedError(text, NOT_OURS)
        self.host_key = shown
        if before is None:
            self._proof = (host_key, sig)

    @property
    def proof(self) -> HostProof:
        """The host's key and its signature of this session."""
        return HostProof(self._proof[0], self.session_id, self._proof[1])

    def _keep_lists(
        self, message: paramiko.Message, ignore_first_byte: bool = False
    ) -> dict[str, Any]:
        """Keep what the server offers, for the error when nothing fits."""
        found = self._read_lists(message, ignore_first_byte)
        if not ignore_first_byte:  # otherwise it is our own list
            self.offered = found
        return found

    # -- the login ---------------------------------------------------------------------------

    def offer_key(self, user: str, key: paramiko.PKey) -> list[str]:
        """Log in with a key; returns the methods that the server still wants, [] when it is done.

        Raises AuthenticationException when the server does not accept the key, and
        NoLoginAnswerError when it says nothing.
        """
        self._ask_for_login()
        return self._login.auth_publickey(user, key)

    def ask_about_key(self, user: str, kind: str, blob: bytes) -> bool:
        """Whether the server would accept a key; raises NoLoginAnswerError when it says nothing."""
        self._ask_for_login()
        self.would_accept = False
        with contextlib.suppress(paramiko.AuthenticationException):
            self._login.ask_about_key(user, kind, blob)
        return self.would_accept

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
        """Wait for the server's list of signature algorithms, which comes before its answer.

        Raises NoLoginAnswerError when the server says nothing.
        """
        self._ask_for_login()
        deadline = time.monotonic() + _SERVICE_TIMEOUT_S
        while self.is_active() and not self._service_accepted.wait(_LOOK_S):
            if time.monotonic() > deadline:
                raise NoLoginAnswerError

    def _parse_service_accept(self, message: paramiko.Message) -> None:
        self._service_accepted.set()

    # -- what the server says ----------------------------------------------------------------

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        message.get_int()
        words = message.get_string()[:_KEPT_LENGTH].decode("utf-8", "replace")
        self.reasons.append(" ".join(words.split())[:_SAID_LENGTH])

    def _parse_debug(self, message: paramiko.Message) -> None:
        """Drop sshd's debug messages."""

    def keep(self, text: bytes) -> None:
        """Keep what the server says before it lets us in, but not all of an endless text."""
        left = _KEPT_LENGTH - sum(map(len, self.banners))
        if left > 0 and text:
            self.banners.append(text[:left].decode("utf-8", "replace"))

    @property
    def said(self) -> str:
        """What the server said before or during the login, in one line."""
        lines = [
            line.strip() for text in (*self.banners, *self.reasons) for line in text.split("\n")
        ]
        found = "; ".join(line for line in lines[:_SAID_LINES] if line)
        return clipped(found, _SAID_LENGTH)

    # -- sending -----------------------------------------------------------------------------

    def send_now(self, message: paramiko.Message) -> None:
        """Send a message of the login."""
        with self.lock:
            self._send_message(message)

    def start_command(self, channel: paramiko.Channel, line: bytes) -> None:
        """Start a command on a channel, which is closed when the server refuses."""
        message = self._request(channel, "exec")
        message.add_string(line)
        self._send_user_message(message)

    def ask_for_terminal(
        self, channel: paramiko.Channel, kind: str, columns: int, rows: int
    ) -> None:
        """Give a channel a terminal; the channel is closed when the server refuses."""
        message = self._request(channel, "pty-req")
        message.add_string(kind)
        for number in (columns, rows, 0, 0):
            message.add_int(number)
        message.add_string(b"")
        self._send_user_message(message)

    @staticmethod
    def _request(channel: paramiko.Channel, kind: str) -> paramiko.Message:
        """The beginning of a request.

        It asks for an answer, but we do not wait for it: at "no", paramiko closes the channel. If
        we did not ask, OpenSSH's sshd would leave the channel open and silent.
        """
        message = paramiko.Message()
        message.add_byte(common.cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string(kind)
        message.add_boolean(True)
        return message


def _quick_first(names: list[str]) -> list[str]:
    """The methods of key exchange, with the quick one before the slow one."""
    if QUICK_KEX not in names:
        return names
    others = [name for name in names if name != QUICK_KEX]
    at = next((at for at, name in enumerate(others) if name.startswith(CURVE)), len(others))
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


def in_one_line(text: str) -> str:
    """A server's words, cut to what an error repeats."""
    return " ".join(text.split())[:WORDS_LENGTH]
