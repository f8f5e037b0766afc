"""A shell behind three pipes: `bash` on this machine, or OpenSSH's `ssh`."""

from __future__ import annotations

import contextlib
import select
import subprocess
import threading
from collections.abc import Sequence

from opstasks.fleet.transport import CHUNK_BYTES

# How long a process may take to end by itself after its input has ended.
END_S = 2.0


class PipeProcess:
    """A process with three pipes, in its own session: Ctrl-C must not reach a running step."""

    def __init__(self, argv: Sequence[str]) -> None:
        """Start it; raises OSError."""
        self._popen = subprocess.Popen(
            argv,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._popen.stdin and self._popen.stdout and self._popen.stderr
        self._stdin = self._popen.stdin
        out, err = self._popen.stdout, self._popen.stderr
        self._open = {out.fileno(): out, err.fileno(): err}
        self._out_fd = out.fileno()
        # Not select(): a descriptor may be above 1024.
        self._poll = select.poll()
        for fd in self._open:
            self._poll.register(fd, select.POLLIN)

    def write(self, data: bytes) -> None:
        """Send to standard input; raises OSError when the process is gone."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._stdin.write(view) :]
        except ValueError as error:  # Python raises this for a pipe that was closed here
            raise ConnectionError(str(error)) from error

    def is_writable(self) -> bool:
        """Whether a byte can be sent without waiting."""
        poll = select.poll()
        try:
            poll.register(self._stdin, select.POLLOUT)
        except ValueError:  # another thread has closed it
            return False
        return bool(poll.poll(0))

    def read(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """Wait for output on either stream."""
        got = {True: b"", False: b""}
        if self._open:
            for fd, _ in self._poll.poll(max(0.0, timeout_s) * 1000):
                data = self._open[fd].read(CHUNK_BYTES)
                got[fd == self._out_fd] += data
                if not data:
                    self._poll.unregister(fd)
                    self._open.pop(fd).close()
        return got[True], got[False], not self._open

    def close(self) -> None:
        """End standard input; the framed shell ends by itself."""
        self._end_input()
        # A step that is still running keeps its lock and ends by itself.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=END_S)

    def _end_input(self) -> None:
        with contextlib.suppress(OSError):  # it may be gone already
            self._stdin.close()


def reap(popen: subprocess.Popen[bytes], patience_s: float | None = END_S) -> None:
    """Wait for a process in the background, so that it does not stay as a zombie.

    After `patience_s` seconds it is killed; None waits until it ends by itself.
    """

    def wait() -> None:
        try:
            popen.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()

    threading.Thread(target=wait, daemon=True).start()
