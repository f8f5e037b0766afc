"""A terminal on a host behind one `ssh -tt` process, with the methods of paramiko's channel."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Sequence

from opstasks.core.errors import Unreachable
from opstasks.fleet.pipes import reap

# How long ssh may take to switch off the echo of its terminal.
RAW_S = 5.0
LOCAL_FLAGS = 3  # the place of these flags in what tcgetattr returns


class OpenSSHTerminal:
    """A program on a terminal of the host; ssh believes that our side is a person's terminal."""

    def __init__(
        self, argv: Sequence[str], is_alive: Callable[[], bool], columns: int, rows: int
    ) -> None:
        """Start it; `is_alive` says whether the connection is open."""
        self._is_alive = is_alive
        self._timeout_s: float | None = None
        self._is_raw = False
        self._fd, theirs = pty.openpty()
        termios.tcsetwinsize(self._fd, (rows, columns))
        try:
            self._popen = subprocess.Popen(
                argv,
                stdin=theirs,
                stdout=theirs,
                stderr=subprocess.DEVNULL,
                env={"TERM": "xterm", **os.environ},
                start_new_session=True,
            )
        finally:
            os.close(theirs)

    def fileno(self) -> int:
        """Readable when there is output, or its end."""
        return self._fd

    def settimeout(self, timeout_s: float | None) -> None:
        """Set how many seconds `recv` waits."""
        self._timeout_s = timeout_s

    def recv(self, size: int) -> bytes:
        """Receive some output; empty at the end. Raises TimeoutError."""
        if self._timeout_s is not None:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            if not poll.poll(self._timeout_s * 1000):
                raise TimeoutError
        try:
            return os.read(self._fd, size)
        except OSError:  # a terminal says so when its other side is closed
            return b""

    def sendall(self, data: bytes) -> None:
        """Send keys, or a password: never while this side's terminal would echo it."""
        self._wait_until_raw()
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def _wait_until_raw(self) -> None:
        deadline = time.monotonic() + RAW_S
        while not self._is_raw:
            self._is_raw = not termios.tcgetattr(self._fd)[LOCAL_FLAGS] & termios.ECHO
            if time.monotonic() > deadline:
                raise Unreachable("ssh does not use the terminal as it should")
            if not self._is_raw:
                time.sleep(0.005)

    def resize_pty(self, columns: int, rows: int) -> None:
        """Tell the host the window's new size."""
        termios.tcsetwinsize(self._fd, (rows, columns))
        self._popen.send_signal(signal.SIGWINCH)

    def recv_exit_status(self) -> int:
        """The program's exit code; -1 when the connection was lost."""
        code = self._popen.wait()
        return -1 if code == 255 and not self._is_alive() else code

    @property
    def eof_received(self) -> bool:
        """Whether the program ended, rather than the connection."""
        return self._is_alive()

    def close(self) -> None:
        """Close the terminal; the host hangs up on a program that still runs."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
        reap(self._popen, 0.5)
