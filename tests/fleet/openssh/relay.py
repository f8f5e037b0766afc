"""The way to a server by IPv6, which the network of the sandbox does not have."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """A port of [::1] whose connections are joined to port 22 of an address."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._server = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection((self._address, 22))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._server.close()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what arrives, and then the end."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
