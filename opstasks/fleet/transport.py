"""The interface of a transport to a host: shells with three byte streams, TCP connections.

`opstasks.fleet.ssh`, `opstasks.fleet.openssh` and `opstasks.fleet.local` are the transports. All
code above them works with each.
"""

from __future__ import annotations

from typing import Protocol

# How many bytes are read at once.
CHUNK_BYTES = 1 << 16


class ShellProcess(Protocol):
    """A running shell that a transport started, with three byte streams."""

    def write(self, data: bytes) -> None:
        """Send to standard input; raises OSError when the other side is gone."""

    def is_writable(self) -> bool:
        """Whether a byte can be sent without waiting for the other side."""

    def read(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """Wait for output: (stdout, stderr, whether the process ended)."""

    def close(self) -> None:
        """End standard input and close the streams."""


class Socket(Protocol):
    """A TCP connection: a socket, or a channel through the host."""

    def sendall(self, data: bytes, /) -> object:
        """Send all the data."""

    def recv(self, size: int, /) -> bytes:
        """Receive some data; empty at the end."""

    def settimeout(self, timeout: float | None, /) -> None:
        """Set how many seconds to wait for the other side."""

    def gettimeout(self) -> float | None:
        """The limit of `settimeout`, in seconds."""

    def close(self) -> None:
        """Close the connection."""


class Transport(Protocol):
    """Starts shells on a host: by SSH, or on this machine."""

    def start(self, line: str) -> ShellProcess:
        """Start a command line under the login account's shell."""

    def current_user(self) -> str:
        """The login account's name; empty when only the server knows."""

    def login_key(self) -> str:
        """The name of the key that the host accepted; "" for a login that was made earlier."""

    def dial(self, address: str, port: int, timeout_s: float) -> Socket:
        """A TCP connection that the host makes; raises Unreachable or Refused."""

    def is_alive(self) -> bool:
        """Whether the connection is open, as far as is known here."""

    def answers(self, timeout_s: float) -> bool:
        """Ask the other side; True if it certainly knows which shells were closed before."""

    def lost_because(self) -> str:
        """Why the connection ended, if the other side said it; otherwise ""."""

    def close(self) -> None:
        """Close the connection."""
