"""The machine that this program runs on, as a host."""

from __future__ import annotations

import os
import socket

from opstasks.core.errors import Unreachable
from opstasks.fleet.pipes import PipeProcess


class LocalTransport:
    """The machine that this program runs on."""

    def start(self, line: str) -> PipeProcess:
        """Start a shell here."""
        return PipeProcess(["bash", "-c", line])

    def current_user(self) -> str:
        """The account that runs this program."""
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name

    def login_key(self) -> str:
        """None: there is no login."""
        return ""

    def dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP connection from here; raises Unreachable."""
        try:
            return socket.create_connection((address, port), timeout_s)
        except OSError as error:
            text = f"no answer from {address}:{port}: {error.strerror or error}"
            raise Unreachable(text, hint="check that address and port") from error

    def is_alive(self) -> bool:
        """Always."""
        return True

    def answers(self, timeout_s: float) -> bool:
        """Not known: text written to a pipe stays in it after it is closed."""
        return False

    def lost_because(self) -> str:
        """Never lost."""
        return ""

    def close(self) -> None:
        """Nothing to close."""
