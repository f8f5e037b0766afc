"""Run programs in a container without SSH and sudo, for tests that observe a host."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from subprocess import CompletedProcess
from threading import Thread
from typing import cast

from docker.errors import APIError, NotFound

from opstasks.sandbox.engine import client, reason
from opstasks.sandbox.errors import SandboxError

# The command begins only when its caller is ready. Otherwise the SDK loses output that arrives
# together with the HTTP headers. `read` takes this one line and leaves the rest of the input.
GATE = ("sh", "-c", 'read -r go; exec "$@"', "sh")
# The exit code of an exec for which the engine has none: as after a kill.
KILLED = 137


@dataclass
class ExecOutput:
    """The output of a program."""

    parts: defaultdict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def text(self, stream: int) -> str:
        """Everything of standard output (1) or standard error (2)."""
        return b"".join(self.parts[stream]).decode(errors="replace")


def execute(
    container: str,
    argv: Sequence[str],
    *,
    user: str = "root",
    stdin: str | None = None,
    timeout_s: float = 120,
) -> CompletedProcess[str]:
    """Run a program in a container and return its outcome, also a failure.

    For a container that does not run, it is exit code 1 with the engine's message. Raises
    SandboxError if the program takes longer than `timeout_s`; the program then continues.
    """
    api = client().api
    output = ExecOutput()
    deadline = time.monotonic() + timeout_s
    try:
        made = api.exec_create(container, [*GATE, *argv], user=user, stdin=True)["Id"]
        with cast(socket.SocketIO, api.exec_start(made, socket=True)) as held:
            converse(held.fileno(), (stdin or "").encode(), output, deadline)
        code = exit_code(made, deadline)
    except APIError as error:
        return CompletedProcess(argv, 1, "", reason(error))
    except TimeoutError as error:
        command = " ".join(argv[:3])
        raise SandboxError(f"{container}: {command} took longer than {timeout_s} s") from error
    return CompletedProcess(argv, code, output.text(1), output.text(2))


def converse(descriptor: int, stdin: bytes, output: ExecOutput, deadline: float) -> None:
    """Send a program its input and collect its output until it has ended.

    `deadline` is a time of the monotonic clock; raises TimeoutError when it has passed.
    """
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.settimeout(remaining_s(deadline))
        sender = Thread(target=send, args=(connection, b"\n" + stdin), daemon=True)
        sender.start()
        try:
            for stream, data in frames(connection, deadline):
                output.parts[stream].append(data)
        finally:
            # A program may end, or time out, before it has read all of its input.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            sender.join()


def send(connection: socket.socket, data: bytes) -> None:
    """Send a program its input and close it; the program need not read it."""
    with suppress(OSError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


def frames(connection: socket.socket, deadline: float) -> Iterator[tuple[int, bytes]]:
    """The parts of a program's output, each with the number of its stream."""
    header = receive(connection, 8, deadline)
    while header:
        stream, size = struct.unpack(">BxxxL", header)
        yield stream, receive(connection, size, deadline)
        header = receive(connection, 8, deadline)


def receive(connection: socket.socket, size: int, deadline: float) -> bytes:
    """Exactly this many bytes; none when the connection has ended."""
    data = b""
    while len(data) < size:
        connection.settimeout(remaining_s(deadline))
        try:
            more = connection.recv(size - len(data))
        except ConnectionError:
            more = b""
        if not more:
            return b""
        data += more
    return data


def exit_code(exec_id: str, deadline: float) -> int:
    """A program's exit code, which may arrive after the end of its output."""
    while True:
        try:
            found = client().api.exec_inspect(exec_id)
        except NotFound:
            return KILLED
        if not found["Running"]:
            return KILLED if found["ExitCode"] is None else int(found["ExitCode"])
        remaining_s(deadline)
        time.sleep(0.02)


def remaining_s(deadline: float) -> float:
    """Seconds until a time of the monotonic clock; raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
