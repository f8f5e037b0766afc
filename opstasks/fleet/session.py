"""A framed shell: one bash on a host that runs many commands over one channel.

Opening an SSH channel costs two or three round trips, so a host gets one bash per account and
every command is a frame on its standard input: a short header, then a block of shell text (and of
the command's input) with a counted length:

- a frame that arrives only in part is never run, and ends the bash;
- many frames can be sent before the first answer is read: a batch is one round trip;
- each command's end is marked, by a random word between NUL bytes, on both output streams;
- the client sends an empty frame every 15 seconds; a minute of silence ends the bash, so a laptop
  that lost its network holds no lock and leaves no shell behind.

The first commands are sent together with the start, and what the login shell printed before is
dropped. Where sudo may ask for a password, nothing is sent before our shell is ready: sudo would
read it as the password. The password is sent only on a channel on which we started a sudo that may
ask (`opstasks.fleet.sudo`), only when its random prompt arrives, once, and before the shell is
ready. Nothing else that looks like a prompt is answered.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from datetime import tzinfo

from opstasks.core.command import MAX_OUTPUT_BYTES, Command, Raw
from opstasks.core.errors import (
    InvalidResponse,
    NoShell,
    Refused,
    TimedOut,
    TooMuchOutput,
    Unreachable,
)
from opstasks.core.result import Result
from opstasks.fleet import framing, zone
from opstasks.fleet.heartbeat import HEARTBEATS
from opstasks.fleet.line_tap import LineTap
from opstasks.fleet.marks import MAX_CODE, MAX_PID, EndMarks, taken
from opstasks.fleet.refusals import (
    NOTHING_SAID,
    input_was_read,
    no_password,
    refusal,
    too_slow,
    wrong_password,
)
from opstasks.fleet.sudo import ASK, PasswordSource
from opstasks.fleet.transport import Transport

# How long the login shell, sudo and our shell may take to start.
START_S = 30.0
# How long a stream waits for output before it calls its reader with no output.
LISTEN_S = 1.0
# How much longer than the host's own limit the client waits for a command to end.
GRACE_S = 15.0
# How much output of the next commands may arrive together with one command's output.
READ_AHEAD_BYTES = 1 << 20
# How long a transport may take to notice that its connection is lost, after its shells have ended.
CERTAIN_S = 0.1
# How long the host may take to answer when its shell has not started.
START_ANSWER_S = 10.0
# How much may be sent to a shell that may not have started; sshd stores twice as much.
EARLY_BYTES = 1 << 20


class Session:
    """The client's side of one framed shell."""

    def __init__(
        self,
        transport: Transport,
        host: str,
        user: str,
        sudo: str,
        passwords: PasswordSource,
        advice: str = "",
        note_zone: Callable[[tzinfo | None], None] = lambda zone: None,
        service_user: str = "",
    ) -> None:
        """Start the shell; raises Unreachable or Refused if that is known at once.

        `sudo` is what `opstasks.fleet.sudo.mode` says. If sudo does not ask, `ready` or the first
        command raises the error. `advice` is the hint if sudo refuses, instead of the usual one.
        `note_zone` gets the host's time zone.
        """
        self._advice, self._service_user = advice, service_user
        self._note_zone = note_zone
        self.host = host
        self.user = user
        self.pid = 0
        self._out = bytearray()
        self._err = bytearray()
        self._write_lock = threading.Lock()
        self._pid_known = threading.Event()
        self._transport = transport
        self._token = _random_word()
        self._unsent = framing.start_frames(self._token)
        self._process = transport.start(framing.start_line(user, self._token, sudo=sudo))
        if user and sudo == ASK:
            self._wait_for_sudo(passwords)
        HEARTBEATS.add(self)

    # -- starting ----------------------------------------------------------------------------

    def ready(self) -> None:
        """Wait until the shell runs; raises Unreachable or Refused when it does not start."""
        if self.pid:
            return
        if self._unsent:
            self._send(b"")
        try:
            self.pid, out, _ = self._collect(self._token, START_S, MAX_OUTPUT_BYTES, MAX_PID)
            self._note_zone(zone.parse(out))
        except TimedOut:
            raise self._slow_after_sending() from None
        except Unreachable:
            raise self._refusal() from None
        finally:
            self._pid_known.set()

    def wait_for_pid(self, timeout_s: float) -> int:
        """The shell's process id, while another thread runs commands; 0 if it does not start."""
        self._pid_known.wait(timeout_s)
        return self.pid

    def _wait_for_sudo(self, passwords: PasswordSource) -> None:
        """Wait until our shell is ready; sudo's first question is answered, a second one is not."""
        prompt = framing.prompt_text(self._token)
        if not self._is_asked(prompt):
            return
        self._err = self._err.replace(prompt, b"")
        try:
            with passwords(self.host) as secret:
                if secret is None:
                    raise no_password(self.host)
                # If sudo waited too long, it has ended with a message: the next `read` gets that.
                with contextlib.suppress(OSError):
                    self._process.write(secret.value.encode() + b"\n")
                if self._is_asked(prompt):
                    raise wrong_password(self.host)
        except Refused:
            self.close()
            raise

    def _is_asked(self, prompt: bytes) -> bool:
        """Wait for sudo's question (true) or for our shell (false)."""
        ready, deadline = f"ready:{self._token}\n".encode(), time.monotonic() + START_S
        while ready not in self._out:
            if prompt in self._err:
                return True
            ended = self._pump(max(0.0, deadline - time.monotonic()), MAX_OUTPUT_BYTES)
            if ended and ready not in self._out:
                raise self._refusal()
            if time.monotonic() > deadline:
                raise self._too_slow()
        return False

    def _refusal(self) -> Refused | Unreachable:
        """The error for a shell that ended; a lost connection does not say what was run."""
        self.close()
        time.sleep(CERTAIN_S)
        if self._has_begun() or not self._transport.is_alive():
            return self._lost()
        if f"input:{self._token}\n".encode() in self._out:
            return input_was_read(self.host)
        return refusal(self._said(), self.host, self.user, self._advice, self._service_user)

    def _too_slow(self) -> NoShell:
        self.close()
        return too_slow(self._said(), self.host, START_S)

    def _slow_after_sending(self) -> Unreachable:
        """The error when commands were sent: they were not run if the host knows that we are gone.

        Without an answer it is not certain: the network may have died after they had arrived.
        """
        error = self._too_slow()
        if self._has_begun():
            return self._lost()
        if self._transport.answers(START_ANSWER_S):
            return error
        message = error.message.removesuffix(NOTHING_SAID)
        return Unreachable(message, host=self.host, hint=error.hint)

    def _has_begun(self) -> bool:
        """Whether our shell has said that it runs commands."""
        return b"\0%b " % self._token.encode() in self._out

    def _lost(self, command: str = "") -> Unreachable:
        return Unreachable("connection lost", host=self.host, command=command, hint="run it again")

    def _said(self) -> str:
        text = (self._out + self._err).decode("utf-8", "replace")
        return text.replace(f"ready:{self._token}\n", "").strip()

    # -- running -----------------------------------------------------------------------------

    def batch(self, commands: Sequence[Command]) -> list[Result]:
        """Run commands in order, sent together: one round trip, a `Result` for each.

        Exit codes are not judged here. Raises TimedOut when the host stops answering,
        Unreachable when the connection is lost, and what `ready` raises.
        """
        marks = [_random_word() for _ in commands]
        started = self._start(b"".join(map(framing.frame, commands, marks)))
        results = []
        for command, mark in zip(commands, marks, strict=True):
            results.append(self._result(command, mark, started))
            started = time.monotonic()
        return results

    def enclosed(self, command: Command, before: str, after: str) -> Result:
        """Run a command between two shell texts, which see $r, its exit code: one round trip.

        When the connection is lost, the host still runs `after` when the command has ended.
        """
        mark = _random_word()
        started = self._start(framing.frame(command, mark, before, after))
        return self._result(command, mark, started)

    def evaluate(self, text: str, timeout_s: float = 30.0) -> Result:
        """Run shell text in the session's own shell, so that its settings and open files stay."""
        mark = _random_word()
        self._start(framing.text_frame(text, mark))
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
        mark = _random_word()
        self._start(framing.background_frame(command, mark))
        while True:
            ending = EndMarks(mark)
            if self._is_in_out(ending):
                break
            # The network may split an end mark: keep back text that could begin one.
            safe = self._out.rfind(b"\0") if b"\0" in self._out[-64:] else len(self._out)
            on_out(taken(self._out, safe, safe))
            if self._pump(LISTEN_S, MAX_OUTPUT_BYTES) and not self._is_in_out(EndMarks(mark)):
                raise self._lost(command.line())
        on_out(taken(self._out, ending.out_at, ending.out_next))
        return _result(command, ending.number, b"", self._rest_of_errors(mark), 0.0)

    def _start(self, frames: bytes) -> float:
        """Send frames and wait for the shell itself; returns when the first command started."""
        if not self.pid and len(frames) > EARLY_BYTES:
            self.ready()
        started = time.monotonic()
        self._send(frames)
        if not self.pid:
            self.ready()
            started = time.monotonic()
        return started

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

    def _result(self, command: Command, mark: str, started: float) -> Result:
        limit_s = command.timeout_s + GRACE_S
        code, out, err = self._collect(
            mark, limit_s, command.max_bytes, tap=LineTap.of(command, mark)
        )
        return _result(command, code, out, err, time.monotonic() - started)

    def _collect(
        self,
        mark: str,
        timeout_s: float,
        max_bytes: int,
        highest: int = MAX_CODE,
        tap: LineTap | None = None,
    ) -> tuple[int, bytes, bytes]:
        """Read until both streams have the mark: (its number, stdout, stderr)."""
        ending, deadline = EndMarks(mark, highest), time.monotonic() + timeout_s
        while not self._is_in(ending):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                text, hint = f"no answer for {timeout_s:g} s", f"inv -H {self.host} doctor"
                raise TimedOut(text, host=self.host, hint=hint)
            if tap:
                tap.look(self._out, self._err)
            if self._pump(left_s, max_bytes) and not self._is_in(ending):
                raise self._lost()
        out = taken(self._out, ending.out_at, ending.out_next)
        return ending.number, out, taken(self._err, ending.err_at, ending.err_next)

    def _is_in(self, ending: EndMarks) -> bool:
        return self._found(ending.is_in, self._out, self._err)

    def _is_in_out(self, ending: EndMarks) -> bool:
        return self._found(ending.is_in_out, self._out)

    def _found(self, look: Callable[..., bool], *buffers: bytearray) -> bool:
        """Look for end marks; raises InvalidResponse for a wrong one."""
        try:
            return look(*buffers)
        except ValueError as error:
            self.close()
            raise InvalidResponse(
                f"invalid response from the host: {error}",
                host=self.host,
                hint=f"inv -H {self.host} doctor",
            ) from None

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

    def _send(self, frames: bytes) -> None:
        """Send frames, after the start if that was not sent yet."""
        try:
            self._write(frames)
        except OSError as error:
            # A shell that did not start has said why: `ready` reads that.
            if self.pid:
                raise self._lost() from error

    def _write(self, data: bytes) -> None:
        with self._write_lock:
            self._put(data)

    def _put(self, data: bytes) -> None:
        """Send data, after the start if that was not sent yet; the caller has the lock."""
        unsent, self._unsent = self._unsent, b""
        self._process.write(unsent + data)

    def heartbeat(self) -> None:
        """Tell the shell that the client is alive; skipped while a write is under way.

        It is never inside a frame: frames are written whole under the lock. It never waits: one
        thread sends the heartbeats of all hosts.
        """
        if self._process.is_writable() and self._write_lock.acquire(blocking=False):
            try:
                self._put(b"\0")
            except OSError:
                HEARTBEATS.discard(self)
            finally:
                self._write_lock.release()

    def close(self) -> None:
        """End the shell."""
        HEARTBEATS.discard(self)
        self._process.close()


def _random_word() -> str:
    return "ops" + secrets.token_hex(12)


def _result(command: Command, code: int, out: bytes, err: bytes, elapsed_s: float) -> Result:
    return Result(
        command=command.line(),
        code=code,
        out=out.decode("utf-8", "surrogateescape"),
        err=err.decode("utf-8", "surrogateescape"),
        elapsed_s=elapsed_s,
    )
