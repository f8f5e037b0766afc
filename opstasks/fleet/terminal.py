"""The operator's terminal, connected to a program on a host.

Keys are sent as they are typed (Ctrl-C included), the program's output is shown unchanged, changes
of the window's size are passed on, and the program's exit code is returned. ``~.`` at the start of
a line drops the connection, as in OpenSSH: for use when the network is gone.

Over SSH, the question of a sudo that may ask (`opstasks.fleet.sudo`) is answered once, before the
program starts and gets the keys. Nothing else that looks like a question is answered.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from typing import Any

from opstasks.core.errors import Refused, Unreachable
from opstasks.core.window import size
from opstasks.fleet import framing, sudo
from opstasks.fleet.arrivals import selectable
from opstasks.fleet.host import Host
from opstasks.fleet.refusals import no_password, refusal, wrong_password

CHUNK = 1 << 15
LINE_ENDS = b"\r\n"
# How long sudo may take to ask, or to let the program start.
START_S = 30.0
# More output than sudo and start-up files print before the program starts.
MOST_BEFORE_BYTES = 1 << 20
# Reports that sudo is finished, then becomes the program. Its output differs from its own command
# line, which a login shell may repeat (`set -x`).
_BEGIN = 'printf %s:ready "$0"; exec "$@"'


def need(what: str, hint: str) -> None:
    """Raise Refused unless there is a terminal on both sides."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused(f"{what} needs a terminal", hint=hint)


def interact(host: Host, words: Sequence[str], user: str) -> int:
    """Run a program on a host's terminal as an account; its exit code."""
    token = "ops" + secrets.token_hex(12)
    user = "" if user == host.transport.current_user() else user
    if host.spec.local:
        own = ["sudo", "-H", "-u", user, "--"] if user else []
        return subprocess.call(["env", "--chdir=/", *own, *words])
    client = host.transport.connection.client.get_transport()  # type: ignore[attr-defined]
    columns, rows = size()
    try:
        channel = client.open_session(timeout=host.spec.connect_timeout_s)
        client.ask_for_terminal(channel, os.environ.get("TERM", "xterm"), columns, rows)
        client.start_command(channel, _line(host, words, user, token).encode())
    except Exception as error:  # paramiko raises a dozen unrelated types
        text = f"cannot open a terminal on the host: {error or type(error).__name__}"
        raise Unreachable(text, host=host.name, hint="run it again") from error
    with contextlib.closing(channel):
        drawn = _Beginning(channel, host, user, token).wait()
        with _raw(), _resizes() as resized:
            os.write(sys.stdout.fileno(), drawn)
            return _join(channel, resized, host.name)


def _mode(host: Host, user: str) -> str:
    """How sudo is started; "" without sudo."""
    login, spec = host.transport.current_user(), host.spec
    return sudo.mode(spec.sudo, login, spec.service_user) if user else ""


def _line(host: Host, words: Sequence[str], user: str, token: str) -> str:
    """The command line that runs the program as the account and reports its start."""
    words = ["sh", "-c", _BEGIN, token, *words]
    if user:
        asks = _mode(host, user) == sudo.ASK
        # -H: docker reads its settings from the account's home.
        flags = ["-H", "-p", framing.prompt_word(token)] if asks else ["-H", "-n"]
        words = ["sudo", *flags, "-u", user, "--", *words]
    return f"cd / && exec {shlex.join(words)}"


class _Beginning:
    """What is on a terminal before the program starts: perhaps sudo's question."""

    def __init__(self, channel: Any, host: Host, user: str, token: str) -> None:
        self._channel, self._host, self._user = channel, host, user
        self._prompt, self._ready = framing.prompt_text(token), f"{token}:ready".encode()
        self._seen = b""

    def wait(self) -> bytes:
        """Wait until the program starts; returns its output so far.

        A sudo that may ask is answered once. Raises Refused or Unreachable.
        """
        if _mode(self._host, self._user) == sudo.ASK and self._is_asked(self._prompt):
            self._seen = self._seen.replace(self._prompt, b"")
            self._answer()
        else:
            self._is_asked(None)
        self._channel.settimeout(None)
        return self._seen.partition(self._ready)[2]

    def _answer(self) -> None:
        with self._host.passwords(self._host.name) as secret:
            if secret is None:
                raise no_password(self._host.name)
            # sudo switches the echo off before it asks.
            self._channel.sendall(secret.value.encode() + b"\n")
            if self._is_asked(self._prompt):
                raise wrong_password(self._host.name)

    def _is_asked(self, prompt: bytes | None) -> bool:
        """Wait for sudo's question (true) or for the program (false)."""
        deadline = time.monotonic() + START_S
        while self._ready not in self._seen:
            if prompt and prompt in self._seen:
                return True
            self._seen += self._receive(deadline - time.monotonic())
        return False

    def _receive(self, left_s: float) -> bytes:
        """More output; raises Refused or Unreachable if there is none, or too much."""
        name = self._host.name
        self._channel.settimeout(max(0.01, left_s))
        try:
            data: bytes = self._channel.recv(CHUNK) if left_s > 0 else b""
        except TimeoutError:
            data, left_s = b"", 0
        if left_s <= 0 or len(self._seen) > MOST_BEFORE_BYTES:
            text = f"the program did not start within {START_S:g} s"
            raise Unreachable(text, host=name, hint="run it again")
        if not data:
            said = self._seen.decode("utf-8", "replace").strip()
            service_user = self._host.spec.service_user
            raise refusal(said, name, self._user, service_user=service_user)
        return data


class Escape:
    """Finds ``~.`` at the start of a line; ``~~`` sends one tilde."""

    def __init__(self) -> None:
        self._at_start, self._tilde = True, False

    @property
    def is_open(self) -> bool:
        """Whether a tilde was typed and the next key is awaited."""
        return self._tilde

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Take typed keys: returns those to send, and whether to drop the connection."""
        send = bytearray()
        for byte in data:
            if self._tilde:
                self._tilde = False
                if byte == ord("."):
                    return bytes(send), True
                send += b"" if byte == ord("~") else b"~"
            elif self._at_start and byte == ord("~"):
                self._tilde = True
                continue
            send.append(byte)
            self._at_start = byte in LINE_ENDS
        return bytes(send), False


def _join(channel: Any, resized: int, host: str) -> int:
    """Copy between terminal and channel until the program ends."""
    keys, escape = [sys.stdin.fileno()], Escape()
    with selectable(channel) as arrivals:
        while True:
            ready = arrivals.wait([resized, *keys])
            if resized in ready:
                os.read(resized, CHUNK)
                columns, rows = size()
                channel.resize_pty(columns, rows)
            if not _copy(channel):
                break
            if channel.recv_ready() or _has_ended(channel):
                # There is more, or nothing more will wake us: look again, after the keys.
                arrivals.set()
            if keys and keys[0] in ready:
                data, dropped = escape.feed(os.read(keys[0], CHUNK))
                if dropped:
                    raise Unreachable("dropped at your request", host=host)
                if data:
                    _send(channel, data)
                elif not escape.is_open:
                    keys = []  # the terminal is gone
    status = int(channel.recv_exit_status())
    # A program ended by a signal has no status either, but its channel ended properly.
    if status < 0 and not channel.eof_received:
        raise Unreachable("connection lost", host=host, hint="run it again")
    return status


def _send(channel: Any, data: bytes) -> None:
    """Send keys; a connection that is lost now is noticed when the output ends."""
    import paramiko

    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        channel.sendall(data)


def _copy(channel: Any) -> bool:
    """Write some of the program's output that has arrived; False at its end."""
    # Read this first: output that arrives later is still found below.
    ended = _has_ended(channel)
    if not channel.recv_ready():
        return not ended
    view = memoryview(channel.recv(CHUNK))
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
    return True


def _has_ended(channel: Any) -> bool:
    """Whether the program has ended; it may still run, and want keys, after its output's end."""
    return bool(channel.closed or (channel.eof_received and channel.exit_status_ready()))


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Inside, the terminal passes every key on unchanged."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    sys.stdout.flush()
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resizes() -> Iterator[int]:
    """A descriptor that becomes readable when the window changes its size."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def tell(*_: object) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(writer, b"!")

    before = signal.signal(signal.SIGWINCH, tell)
    try:
        yield reader
    finally:
        signal.signal(signal.SIGWINCH, before)
        os.close(reader)
        os.close(writer)
