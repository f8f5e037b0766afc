"""The machine that this program runs on, as a host."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess

from opstasks.core.errors import Unreachable
from opstasks.fleet.transport import CHUNK_BYTES


class LocalProcess:
    """A shell on this machine."""

    def __init__(self, line: str) -> None:
        # A session of its own: Ctrl-C must not reach a half-done step.
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
        except ValueError as error:  # Python raises this for a pipe that was closed here
            raise ConnectionError(str(error)) from error

    def read(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """Wait for output on either stream."""
        got = {True: b"", False: b""}
        ready, _, _ = select.select(self._open, [], [], timeout_s)
        for fd in ready:
            data = os.read(fd, CHUNK_BYTES)
            got[fd == self._out_fd] += data
            if not data:
                self._open.remove(fd)
        return got[True], got[False], not self._open

    def close(self) -> None:
        """End standard input; the framed shell ends by itself."""
        with contextlib.suppress(OSError):  # it may be gone already
            self._stdin.close()
        # A step that is still running keeps its lock and ends by itself.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=2)


class LocalTransport:
    """The machine that this program runs on."""

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
        """Always."""
        return True

    def lost_because(self) -> str:
        """Never lost."""
        return ""

    def close(self) -> None:
        """Nothing to close."""
