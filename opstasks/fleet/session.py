"""A framed shell: one bash on a host that runs many commands over one channel.

Opening an SSH channel costs two or three round trips, so a host gets one bash per account and
every command is a frame on its standard input, ended by a NUL byte:

- a frame that arrives only in part is never run (bash waits for the NUL);
- many frames can be sent before the first answer is read: a batch is one round trip;
- each command's end is marked, by a random word between NUL bytes, on both output streams;
- the client sends an empty frame every 15 seconds; a minute of silence ends the bash, so a laptop
  that lost its network holds no lock and leaves no shell behind.

The sudo password is sent only when sudo asks for it with a random prompt, before the shell is
ready. After that, nothing that looks like a prompt is answered.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from opstasks.core.command import MAX_OUTPUT_BYTES, Command, Raw, Secret
from opstasks.core.errors import Refused, TimedOut, TooMuchOutput, Unreachable
from opstasks.core.result import Result
from opstasks.fleet.framing import bootstrap_line, end_of, frame
from opstasks.fleet.heartbeat import HEARTBEATS
from opstasks.fleet.line_tap import LineTap
from opstasks.fleet.transport import Transport

# How long a stream waits for output before it calls its reader with no output.
LISTEN_S = 1.0
# How much longer than the host's own limit the client waits for a command to end.
GRACE_S = 15.0
# How much output of the next commands may arrive together with one command's output.
READ_AHEAD_BYTES = 1 << 20

# What sudo 1.8, sudo 1.9 and sudo-rs say about an account that does not exist.
_UNKNOWN_USER = re.compile(r"unknown user|user '[^']*' not found")

Password = Callable[[], Secret | None]


def wrong_password(host: str) -> Refused:
    """The error when sudo asks a second time."""
    return Refused(
        "sudo did not accept the password", host=host, hint="try again; nothing was changed"
    )


def no_password(host: str) -> Refused:
    """The error when sudo asks and a terminal to ask the person is missing."""
    return Refused(
        "sudo asks for a password, but this is not a terminal",
        host=host,
        hint="run in a terminal, or name a file in $OPSTASKS_SUDO_PASSWORD_FILE",
    )


def refusal(text: str, host: str, user: str) -> Refused | Unreachable:
    """The error for an account's shell that ended before it was ready, from its output."""
    if user and _UNKNOWN_USER.search(text):
        return Refused(
            f"account {user} does not exist: the host is not set up yet",
            host=host,
            hint=f"inv -H {host} manage",
        )
    if user and "sudo" in text:
        return Refused(
            f"may not become {user}: {text.splitlines()[-1]}",
            host=host,
            hint="ask for sudo rights on the host, or set `sudo: ask` in hosts.yaml",
        )
    return Unreachable(
        f"no shell on the host: {text[-300:] or 'closed without a message'}", host=host
    )


class Session:
    """The client's side of one framed shell."""

    def __init__(
        self, transport: Transport, host: str, user: str, sudo: str, password: Password
    ) -> None:
        """Start the shell; raises Unreachable or Refused when it does not start."""
        self.host = host
        self.user = user
        self.pid = 0
        self._out = bytearray()
        self._err = bytearray()
        self._write_lock = threading.Lock()
        token = "ops" + secrets.token_hex(12)
        self._process = transport.start(bootstrap_line(user, token, sudo=sudo))
        self._greet(token, password)
        HEARTBEATS.add(self)

    # -- starting ----------------------------------------------------------------------------

    def _greet(self, token: str, password: Password, timeout_s: float = 30.0) -> None:
        ready = re.compile(re.escape(token.encode()) + rb":ready (\d+)\0")
        prompt = f"{token}:password\n".encode()
        deadline, asked = time.monotonic() + timeout_s, False
        while not (match := ready.search(self._out)):
            if prompt in self._err:
                self._answer(prompt, password, asked=asked)
                # The time that the person needs to type it does not count.
                deadline, asked = time.monotonic() + timeout_s, True
            ended = self._pump(max(0.0, deadline - time.monotonic()), MAX_OUTPUT_BYTES)
            if ended and not ready.search(self._out):
                raise self._refusal()
            if time.monotonic() > deadline:
                self.close()
                raise Unreachable("no shell within 30 s", host=self.host)
        self.pid = int(match[1])
        del self._out[: match.end()]
        self._err.clear()

    def _answer(self, prompt: bytes, password: Password, *, asked: bool) -> None:
        """Give sudo the password once; a second question means that it was wrong."""
        self._err = self._err.replace(prompt, b"")
        if asked:
            self.close()
            raise wrong_password(self.host)
        secret = password()
        if secret is None:
            self.close()
            raise no_password(self.host)
        self._send(secret.value.encode() + b"\n")

    def _refusal(self) -> Refused | Unreachable:
        text = (self._err + self._out).decode("utf-8", "replace").strip()
        return refusal(text, self.host, self.user)

    # -- running -----------------------------------------------------------------------------

    def batch(self, commands: Sequence[Command]) -> list[Result]:
        """Run commands in order, sent together: one round trip, a `Result` for each.

        Exit codes are not judged here. Raises TimedOut when the host stops answering, and
        Unreachable when the connection is lost.
        """
        marks = ["ops" + secrets.token_hex(12) for _ in commands]
        started = time.monotonic()
        self._send(b"".join(map(frame, commands, marks)))
        results = []
        for command, mark in zip(commands, marks, strict=True):
            code, out, err = self._collect(
                mark, command.timeout_s + GRACE_S, command.max_bytes, LineTap.of(command, mark)
            )
            ended = time.monotonic()
            results.append(_result(command, code, out, err, ended - started))
            started = ended
        return results

    def evaluate(self, text: str, timeout_s: float = 30.0) -> Result:
        """Run shell text in the session's own shell, so that its settings and open files stay."""
        mark = "ops" + secrets.token_hex(12)
        self._send(f"{text}\n{end_of(mark)}".encode() + b"\0")
        code, out, err = self._collect(mark, timeout_s, MAX_OUTPUT_BYTES)
        return _result(Command((Raw(text),)), code, out, err, 0.0)

    def stream(self, command: Command, on_out: Callable[[bytes], None]) -> Result:
        """Run a command and pass on its output as it arrives; returns when it ends.

        `on_out` is called at least once a second, also without output; an exception in it ends the
        command.
        The command runs in the background of the framed shell, in its own process group, which
        ends with the shell: closing the session (Ctrl-C, a lost network) stops it.
        Standard output is not kept; the `Result` holds standard error only.
        """
        mark = "ops" + secrets.token_hex(12)
        text = (
            f"set -m; ( {command.line()}\n{end_of(mark)} ) </dev/null &"
            " trap 'kill -TERM -- -'$! EXIT HUP"
        )
        self._send(text.encode() + b"\0")
        end = re.compile(rb"\0" + mark.encode() + rb" (\d+)\0")
        while not (match := end.search(self._out)):
            # The network may split an end mark: keep back text that could begin one.
            safe = self._out.rfind(b"\0") if b"\0" in self._out[-64:] else len(self._out)
            on_out(bytes(self._out[:safe]))
            del self._out[:safe]
            if self._pump(LISTEN_S, MAX_OUTPUT_BYTES) and not end.search(self._out):
                raise Unreachable("connection lost", host=self.host, command=command.line())
        code = int(match[1])
        on_out(bytes(self._out[: match.start()]))
        del self._out[: match.end()]
        return _result(command, code, b"", self._rest_of_errors(mark), 0.0)

    def _rest_of_errors(self, mark: str) -> bytes:
        """Read standard error to its end, which may arrive after the end of standard output.

        If a channel is closed while data still arrives, paramiko's reading thread can crash (it
        writes to a pipe that is being closed), and with it the whole connection.
        """
        end, deadline = b"\0" + mark.encode() + b"\0", time.monotonic() + GRACE_S
        while end not in self._err and time.monotonic() < deadline:
            if self._pump(LISTEN_S, MAX_OUTPUT_BYTES):
                break
        return bytes(self._err).partition(end)[0]

    def _collect(
        self, mark: str, timeout_s: float, max_bytes: int, tap: LineTap | None = None
    ) -> tuple[int, bytes, bytes]:
        """Read until both streams have the mark: (exit code, stdout, stderr)."""
        out_end = re.compile(rb"\0" + mark.encode() + rb" (\d+)\0")
        err_end = b"\0" + mark.encode() + b"\0"
        deadline = time.monotonic() + timeout_s
        out_from = err_from = 0
        while True:
            match = out_end.search(self._out, out_from)
            at = self._err.find(err_end, err_from)
            if match and at >= 0:
                break
            out_from = max(0, len(self._out) - 64)
            err_from = max(0, len(self._err) - 64)
            if at >= 0:
                err_from = at
            if match:
                out_from = match.start()
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(f"no answer for {timeout_s:g} s", host=self.host)
            if tap:
                tap.look(self._out, self._err)
            if self._pump(left, max_bytes) and not out_end.search(self._out, out_from):
                raise Unreachable("connection lost", host=self.host)
        out, err, code = bytes(self._out[: match.start()]), bytes(self._err[:at]), int(match[1])
        del self._out[: match.end()], self._err[: at + len(err_end)]
        return code, out, err

    def _pump(self, timeout_s: float, max_bytes: int) -> bool:
        """Read available output into the buffers; True when the shell has ended.

        Raises TooMuchOutput when they hold too much; the shell cannot be used any more.
        """
        out, err, ended = self._process.read(timeout_s)
        self._out += out
        self._err += err
        if len(self._out) + len(self._err) > max_bytes + READ_AHEAD_BYTES:
            self.close()
            raise TooMuchOutput(
                f"the host sent more than {max_bytes >> 20} MiB",
                host=self.host,
                hint="ask for less, or write it to a file on the host",
            )
        return ended

    def _send(self, data: bytes) -> None:
        try:
            with self._write_lock:
                self._process.write(data)
        except OSError as error:
            raise Unreachable("connection lost", host=self.host) from error

    def heartbeat(self) -> None:
        """Tell the shell that the client is alive; skipped while a write is under way."""
        if self._write_lock.acquire(blocking=False):
            try:
                self._process.write(b"\0")
            except OSError:
                HEARTBEATS.discard(self)
            finally:
                self._write_lock.release()

    def close(self) -> None:
        """End the shell."""
        HEARTBEATS.discard(self)
        self._process.close()


def _result(command: Command, code: int, out: bytes, err: bytes, elapsed_s: float) -> Result:
    return Result(
        command=command.line(),
        code=code,
        out=out.decode("utf-8", "surrogateescape"),
        err=err.decode("utf-8", "surrogateescape"),
        elapsed_s=elapsed_s,
    )
