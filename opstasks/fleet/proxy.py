"""A ProxyCommand of ssh_config: a process that carries the connection.

It runs in its own session, so that Ctrl-C does not end it in the middle of a change. When it ends,
the connection ends at once; the last lines that it wrote to standard error say why.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from typing import BinaryIO

from opstasks.core.errors import Refused
from opstasks.core.lines import lines_of

_WORDS_BYTES = 4096
# How long to wait for the last words of a process that ended.
_WORDS_S = 0.5
_STOP_S = 2.0


class Proxy:
    """A running ProxyCommand; `sock` is connected to its standard input and output."""

    def __init__(self, command: str) -> None:
        """Start it by the account's shell; raises Refused when there is no such shell."""
        self.sock, theirs = socket.socketpair()
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            self._process = subprocess.Popen(
                [shell, "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self.sock.close()
            text = f"cannot run $SHELL {shell!r}, which the ProxyCommand needs: {error.strerror}"
            raise Refused(text, hint="export SHELL=/bin/sh") from error
        finally:
            theirs.close()
        assert self._process.stderr is not None
        self._words = b""
        self._reader = threading.Thread(
            target=self._listen, args=(self._process.stderr,), daemon=True
        )
        self._reader.start()
        threading.Thread(target=self._await_end, daemon=True).start()

    def _listen(self, stream: BinaryIO) -> None:
        with stream:
            while data := os.read(stream.fileno(), _WORDS_BYTES):
                self._words = (self._words + data)[-_WORDS_BYTES:]

    def _await_end(self) -> None:
        """End the connection when the process ends: its children may still hold the socket."""
        self._process.wait()
        self._reader.join(_WORDS_S)
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    @property
    def problem(self) -> str:
        """Why it ended: its exit code and its last words; "" while it runs."""
        try:  # its connection may end a moment before it
            code = self._process.wait(_WORDS_S)
        except subprocess.TimeoutExpired:
            return ""
        self._reader.join(_WORDS_S)
        said = f": {self.words}" if self.words else ""
        return f"the ProxyCommand ended with exit code {code}{said}"

    @property
    def words(self) -> str:
        """The last lines that it wrote to standard error, while it runs or after."""
        lines = lines_of(self._words.decode("utf-8", "replace").strip())
        return "; ".join(lines[-2:])

    def close(self) -> None:
        """End the process with what it started, and close the connection.

        Under `nohup`, SIGHUP, which OpenSSH sends, has no effect.
        """
        for numbers in ((signal.SIGHUP, signal.SIGTERM), (signal.SIGKILL,)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                for number in numbers if self._process.poll() is None else ():
                    os.killpg(self._process.pid, number)
            with contextlib.suppress(OSError):
                self.sock.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
                return
