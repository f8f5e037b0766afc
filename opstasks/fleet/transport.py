"""What a way to reach a host has to offer: shells with three byte streams, and TCP connections.

`opstasks.fleet.ssh` and `opstasks.fleet.local` are the two ways. Both give the same, so that
everything above them is the same code.
"""

from __future__ import annotations

from typing import Protocol

# How much is read at once.
CHUNK_BYTES = 1 << 16


class ShellProcess(Protocol):
    """A running shell that a transport started, with three byte streams."""

    def write(self, data: bytes) -> None:
        """Send to standard input; raises OSError when the other side is gone."""

    def read(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """Wait for output: (stdout, stderr, whether the process ended)."""

    def close(self) -> None:
        """End standard input and close the streams."""


class Socket(Protocol):
    """A TCP connection: a socket, or a channel through the host."""

    def sendall(self, data: bytes, /) -> object:
        """Send all of it."""

    def recv(self, size: int, /) -> bytes:
        """Receive some; nothing at the end."""

    def settimeout(self, timeout: float | None, /) -> None:
        """How many seconds to wait for the other side."""

    def gettimeout(self) -> float | None:
        """The limit of `settimeout`, in seconds."""

    def close(self) -> None:
        """Close the connection."""


class Transport(Protocol):
    """A way to start shells on a host: SSH, or this machine."""

    def start(self, line: str) -> ShellProcess:
        """Start a command line under the login account's shell."""

    def current_user(self) -> str:
        """The login account's name; empty when only the server knows."""

    def dial(self, address: str, port: int, timeout_s: float) -> Socket:
        """A TCP connection that the host makes; raises Unreachable or Refused."""

    def is_alive(self) -> bool:
        """Whether the connection is open, as far as this side knows."""

    def close(self) -> None:
        """Close the connection."""
