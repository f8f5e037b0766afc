"""One host, and the one way to run a command on it.

A `Host` has three shells: `login` (the account of the SSH login), `service` (opensafely, which
the playbook reaches with ``sudo su - opensafely``) and `root`. Each shell has the same verbs:

- `run`      the command must succeed; returns its `Result`
- `output`   the same, returns its text
- `test`     whether it succeeds
- `call`     one of our programs; returns its answer
- `batch`    many commands in one round trip, exit codes not judged
- `stream`   output as it arrives, until the command ends
- `follow`   one of our programs, with the parts of its answer as they arrive
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import tzinfo
from typing import Any, TypeVar

import msgspec

from opstasks.core import events
from opstasks.core.command import Command
from opstasks.core.errors import (
    CommandFailed,
    Interrupted,
    InvalidResponse,
    Lost,
    NoShell,
    OpsError,
    Refused,
    TimedOut,
    TooMuchOutput,
    Unreachable,
)
from opstasks.core.result import TIMEOUT_CODES, Result
from opstasks.fleet import leftover, sudo
from opstasks.fleet.change_guard import ChangeGuard
from opstasks.fleet.inventory import NEVER, HostSpec
from opstasks.fleet.program import AGAIN, Program, Reader
from opstasks.fleet.session import Session
from opstasks.fleet.transport import Transport

T = TypeVar("T")
Q = TypeVar("Q")
A = TypeVar("A")
Connect = Callable[[HostSpec], Transport]


class Shell:
    """One account on one host."""

    def __init__(self, host: Host, user: str) -> None:
        self.host = host
        self.user = user
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The framed shell, opened at first use."""
        if self._session is None:
            self._session = self.host.open_session(self.user)
        return self._session

    def open(self) -> None:
        """Start the framed shell, wait until it runs; raises Unreachable or Refused."""
        with self._loss_means_unknown(mutates=False):
            self.session.ready()

    def begin(self) -> None:
        """Start the framed shell; if that fails, this or the first command raises the error."""
        assert self.session

    @property
    def is_open(self) -> bool:
        """Whether the framed shell is up."""
        return self._session is not None

    def run(self, command: Command) -> Result:
        """Run a command that must succeed; raises CommandFailed or TimedOut."""
        (result,) = self.batch([command])
        return check(result, command, self.host.name)

    def output(self, command: Command) -> str:
        """Run a command that must succeed; returns what it printed."""
        return self.run(command).text

    def test(self, command: Command) -> bool:
        """Whether a command succeeds."""
        (result,) = self.batch([command])
        return result.code == 0

    def batch(self, commands: Sequence[Command]) -> list[Result]:
        """Run commands in one round trip; one `Result` each, exit codes not judged."""
        with self.host.guard.noting(commands):
            return self._batch(commands)

    def _batch(self, commands: Sequence[Command]) -> list[Result]:
        with self._told(commands):
            host = self.host
            return leftover.in_turn(self.session, commands, host.name, host.step)

    def enclosed(self, command: Command, before: str, after: str) -> Result:
        """Run a command between two shell texts, in one round trip; see `Session.enclosed`."""
        with self.host.guard.noting([command]), self._told([command]):
            return self.session.enclosed(command, before, after)

    def evaluate(self, text: str) -> Result:
        """Run shell text in the framed shell itself; see `Session.evaluate`."""
        with self._loss_means_unknown(mutates=False):
            return self.session.evaluate(text)

    def gather(self, commands: Mapping[str, Command]) -> dict[str, Result]:
        """Run named commands in one round trip; results under the same names."""
        return dict(zip(commands, self.batch(list(commands.values())), strict=True))

    def call(self, program: Program[Q, A], request: Q, *, timeout_s: float | None = None) -> A:
        """Run one of our programs; raises what `Program.decode` raises."""
        command = program.command(request, timeout_s=timeout_s)
        with self.host.guard.noting([command]):
            (result,) = self._batch([command])
            return program.decode(result, self.host.name, timeout_s=timeout_s)

    def follow(
        self,
        program: Program[Q, A],
        request: Q,
        on_part: Callable[[Any], None],
        on_wait: Callable[[], None] = lambda: None,
    ) -> A:
        """Run one of our programs on its own channel; passes on the parts as they arrive.

        `on_wait` is called after each piece of output, and at least once a second; an exception in
        it ends the program.
        """
        reader = Reader(program, self.host.name, on_part)

        def take(data: bytes) -> None:
            reader.take(data)
            on_wait()

        command = program.stream_command(request)
        with self.host.guard.noting([command]):
            return reader.end(self._stream(command, take))

    def stream(self, command: Command, on_out: Callable[[bytes], None]) -> Result:
        """Run a command on its own channel; passes on its output as it arrives."""
        with self.host.guard.noting([command]):
            return self._stream(command, on_out)

    def _stream(self, command: Command, on_out: Callable[[bytes], None]) -> Result:
        session = self.host.open_session(self.user)
        try:
            return session.stream(command, on_out)
        except Unreachable as error:
            raise self._lost(error, mutates=command.mutates) from error.__cause__
        finally:
            session.close()

    def close(self) -> None:
        """End the shell."""
        if (session := self.let_go()) is not None:
            session.close()

    def let_go(self) -> Session | None:
        """Forget the framed shell; returns it, to close."""
        session, self._session = self._session, None
        return session

    @contextlib.contextmanager
    def _told(self, commands: Sequence[Command]) -> Iterator[None]:
        """Tell the observer about commands, before and after."""
        for command in commands:
            self.host.tell(events.CommandStarted(self.host.name, self.user, command))
        try:
            with self._loss_means_unknown(any(command.mutates for command in commands)):
                yield
        finally:
            self.host.tell(events.CommandsEnded(self.host.name))

    @contextlib.contextmanager
    def _loss_means_unknown(self, mutates: bool) -> Iterator[None]:
        try:
            yield
        except Refused:
            self._session = None
            raise
        except (Unreachable, TimedOut, TooMuchOutput, InvalidResponse) as error:
            self._session = None
            found = self._lost(error, mutates=mutates)
            if found is error:
                raise
            raise found from error

    def _lost(self, error: OpsError, *, mutates: bool) -> OpsError:
        """The error for commands without an end: the same one, or Lost if they change something."""
        # Without a shell, these commands were not run; those before them in a change were.
        mutates = self.host.guard.is_active or (mutates and not isinstance(error, NoShell))
        if isinstance(error, Unreachable) and not isinstance(error, NoShell):
            self.host.explain_loss(error)
            self.host.doubt_connection()
        if not mutates:
            return error
        return Lost(
            f"{error.message} during a change; the last step may or may not have been done",
            host=self.host.name,
            hint=AGAIN,
        )


class Host:
    """A host of the inventory, or this machine."""

    def __init__(
        self,
        spec: HostSpec,
        connect: Connect,
        passwords: sudo.PasswordSource = sudo.no_passwords,
        observer: events.Observer = events.ignore,
        stop: threading.Event | None = None,
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.tell = observer
        self.guard = ChangeGuard(spec.name)
        self._connect = connect
        self.passwords = passwords
        self._stop = stop or threading.Event()
        self._transport: Transport | None = None
        self._is_doubtful = False
        self._shells: dict[str, Shell] = {}
        # Known once a shell has started there.
        self.zone: tzinfo | None = None

    # -- accounts ----------------------------------------------------------------------------

    @property
    def login(self) -> Shell:
        """The account of the login."""
        return self.shell("")

    @property
    def service(self) -> Shell:
        """The service account, opensafely."""
        return self.shell(self.spec.service_user)

    @property
    def root(self) -> Shell:
        """The administrator."""
        return self.shell("root")

    def shell(self, user: str) -> Shell:
        """The shell of an account; the same one each time."""
        return self._shells.setdefault(user, Shell(self, user))

    # -- connection --------------------------------------------------------------------------

    @property
    def transport(self) -> Transport:
        """The connection, opened at first use and kept until it is gone.

        Never a second one in the middle of a change: the lock is lost with the first.
        """
        if self._transport and not self.guard.is_active and self._is_gone(self._transport):
            self.close()
        if self._transport is None:
            self._transport = self._connect(self.spec)
        return self._transport

    def explain_loss(self, error: Unreachable) -> None:
        """Add to an error why the connection was lost, if the other side said why."""
        because = self._transport.lost_because() if self._transport else ""
        if because and because not in error.message:
            error.message = f"{error.message}: {because}"

    def doubt_connection(self) -> None:
        """Make a new connection next time; paramiko notices a broken one only after a moment."""
        self._is_doubtful = True

    def _is_gone(self, transport: Transport) -> bool:
        return self._is_doubtful or not transport.is_alive()

    def open_session(self, user: str) -> Session:
        """A new framed shell for an account; the login account needs no sudo."""
        return self._session_on(self.transport, user)

    def _session_on(self, transport: Transport, user: str) -> Session:
        login = transport.current_user()
        own = "" if user == login else user
        mode = sudo.mode(self.spec.sudo, login, self.spec.service_user)
        advice = sudo.advice(self.spec, login)
        service_user = self.spec.service_user
        return Session(
            transport, self.name, own, mode, self.passwords, advice, self._note_zone, service_user
        )

    def _note_zone(self, zone: tzinfo | None) -> None:
        self.zone = zone or self.zone

    def login_user(self) -> str:
        """The account of the login."""
        return self.transport.current_user()

    def prove(self, user: str) -> None:
        """Check that a second login and an account's shell can be opened; close both again.

        Raises Unreachable or Refused when that does not work; the first connection stays.
        """
        # A connection that is kept from an earlier run would prove nothing.
        transport = self._connect(msgspec.structs.replace(self.spec, keep_connection=NEVER))
        try:
            session = self._session_on(transport, user)
            session.ready()
            session.close()
        finally:
            transport.close()

    def close(self) -> None:
        """Close every shell and the connection; two threads may do so at the same time."""
        for close in self.let_go():
            close()

    def let_go(self) -> list[Callable[[], None]]:
        """Forget every shell and the connection, which ends nothing; returns what closes them.

        Whoever needs the host next, perhaps at once, gets a new connection.
        """
        found: list[Callable[[], None]] = []
        for shell in list(self._shells.values()):
            if (session := shell.let_go()) is not None:
                found.append(session.close)
        transport, self._transport = self._transport, None
        if transport is not None:
            found.append(transport.close)
        self._is_doubtful = False
        return found

    # -- changing ----------------------------------------------------------------------------

    def changing(self) -> AbstractContextManager[None]:
        """While inside, a change is under way (`opstasks.fleet.change_guard`)."""
        return self.guard.active()

    def step(self, text: str, brief: str = "", lasts_s: float = 0.0, *, ago_s: float = 0.0) -> None:
        """Report that a workflow reached a step (`opstasks.core.events.StepReached`)."""
        self.tell(events.StepReached(self.name, text, brief, lasts_s, ago_s))

    def update_step(self, text: str, brief: str = "") -> None:
        """Give the present step a new text (`opstasks.core.events.StepUpdated`)."""
        self.tell(events.StepUpdated(self.name, text, brief))

    def checkpoint(self, where: str) -> None:
        """A safe place to stop: raises Interrupted after Ctrl-C; `where` says what was done."""
        if self._stop.is_set():
            raise Interrupted(f"stopped at your request; {where}", host=self.name)

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the operator presses Ctrl-C."""
        self._stop.wait(seconds)

    def wait_until(
        self, find: Callable[[], T | None], *, timeout_s: float, where: str, every_s: float = 1.0
    ) -> T | None:
        """Call `find` until it finds something; returns that, or None after `timeout_s` seconds.

        Raises Interrupted as soon as the operator presses Ctrl-C; `where` says what was done.
        """
        deadline = time.monotonic() + timeout_s
        while (found := find()) is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self.pause(min(every_s, left_s))
            self.checkpoint(where)
        return found


def check(result: Result, command: Command, host: str) -> Result:
    """Check an exit code; raises TimedOut or CommandFailed with the last lines."""
    if result.code in command.ok:
        return result
    hint = AGAIN if command.mutates else f"inv -H {host} doctor"
    details = {"host": host, "command": command.shown(), "tail": result.tail(), "hint": hint}
    if result.code in TIMEOUT_CODES and result.elapsed_s >= command.timeout_s * 0.9:
        raise TimedOut(f"did not finish within {command.timeout_s:g} s and was stopped", **details)
    name = next((word for arg in command.args[:1] for word in str(arg).split()), "command")
    raise CommandFailed(
        f"{name} failed with exit code {result.code}", returned=result.code, **details
    )
