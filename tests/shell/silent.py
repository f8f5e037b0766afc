"""A host that accepts connections and says nothing."""

import contextlib
import socket
import threading


class SilentHost:
    """Accepts connections and says nothing, until it is told to end."""

    def __init__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.called = threading.Event()
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self._open.append(self._server.accept()[0])
            except OSError:
                return
            self.called.set()

    @property
    def is_awaited(self):
        """Whether the client still waits for us."""
        self._open[-1].setblocking(False)
        try:
            while data := self._open[-1].recv(4096):
                assert data.startswith(b"SSH-2.0-")  # only the client's greeting
        except BlockingIOError:
            return True
        return False

    def end(self):
        # Wakes the thread in accept, which would take one more connection.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            connection.close()
