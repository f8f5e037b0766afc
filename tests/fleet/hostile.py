"""Servers that misbehave, in a thread of this process: raw bytes, or SSH by paramiko."""

import contextlib
import os
import re
import socket
import subprocess
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


class Asks(Door):
    """Prints the prompt of sudo, which it knows from its command line, at one moment.

    It records all its input. `moment` is "first", "twice" or "ready".
    """

    def __init__(self, moment):
        super().__init__()
        self.moment, self.received, self.commands = moment, b"", []

    def check_channel_pty_request(self, *_):
        return True

    def check_channel_exec_request(self, channel, command):
        self.commands.append(command)
        threading.Thread(target=self._ask, args=(channel, command.decode()), daemon=True).start()
        return True

    def _ask(self, channel, command):
        found = re.search(r"ops[0-9a-f]{24}", command)
        if not found:
            return
        ready, prompt = f"ready:{found[0]}\n{found[0]}:ready", f"{found[0]}%password:"
        channel.settimeout(0.3)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            for text in {"first": [prompt], "twice": [prompt] * 2, "ready": [ready, prompt]}[
                self.moment
            ]:
                channel.sendall(text.encode())
                channel.sendall_stderr(text.encode())
                with contextlib.suppress(TimeoutError):
                    while data := channel.recv(4096):
                        self.received += data
            channel.close()


class Runs(Door):
    """Runs commands with an environment."""

    def __init__(self, env):
        super().__init__()
        self._env = env

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=self._run, args=(channel, command), daemon=True).start()
        return True

    def _run(self, channel, command):
        pipe = subprocess.PIPE
        argv = ["bash", "-c", command.decode()]
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, env=self._env)
        for source, send in (
            (process.stdout, channel.sendall),
            (process.stderr, channel.sendall_stderr),
        ):
            threading.Thread(target=_copy, args=(source, send), daemon=True).start()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while data := channel.recv(1 << 16):
                process.stdin.write(data)
                process.stdin.flush()
        process.kill()
        process.wait()


def _copy(source, send):
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        while data := os.read(source.fileno(), 1 << 16):
            send(data)
