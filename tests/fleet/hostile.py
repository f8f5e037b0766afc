"""Servers that misbehave, in a thread of this process: raw bytes, or SSH by paramiko."""

import contextlib
import socket
import threading
import time

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

HOST_KEY = paramiko.RSAKey.generate(2048)
GREETING = b"SSH-2.0-hostile\r\n"


class Listener:
    """Listens on a port, and runs `behave(sock)` for each connection in its own thread."""

    def __init__(self, behave):
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = []
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock):
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException), sock:
            self._behave(sock)

    def close(self):
        self._listener.close()
        for sock in self._open:
            sock.close()


class Door(paramiko.ServerInterface):
    """Lets everyone in, and runs nothing; tests replace the methods that they test."""

    def __init__(self):
        self.transport = None
        self.offered = []

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        self.offered.append(key.get_name())
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        return True


class Closed(Door):
    """Accepts no key."""

    def check_auth_publickey(self, username, key):
        self.offered.append(key.get_name())
        return AUTH_FAILED


def serve(door, key=HOST_KEY, made=paramiko.Transport, wait_s=60):
    """A way to behave: an SSH server with a door."""

    def behave(sock):
        transport = door.transport = made(sock)
        transport.add_server_key(key)
        transport.start_server(server=door)
        deadline = time.monotonic() + wait_s
        while transport.is_active() and time.monotonic() < deadline:
            time.sleep(0.05)
        transport.close()

    return behave
