"""A strict stand-in for a host: the calls that a test expects, in their order, and no others.

Use the fixture `fake_host`::

    host = fake_host()
    host.expect_lock("jobs.kill")
    host.expect(READ, ReadRequest(...), ReadAnswer(...))
    host.expect(cmd("systemctl", "stop", "jobrunner"), "")
    kill(host, ...)

A program is compared with its request, a command with its arguments and its input. A call that was
not expected, and one that was expected and did not come, both fail the test, even where the code
under test catches the error.
"""

import json
import threading
from dataclasses import dataclass, field

import msgspec

from opstasks.core import events
from opstasks.core.command import Command
from opstasks.core.result import Result
from opstasks.fleet import lock
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program, ProgramCommand

ANY = object()


@dataclass(frozen=True)
class Reply:
    """The result of a call: exit code, output and error text."""

    code: int = 0
    out: str = ""
    err: str = ""


def refused(reason, detail=""):
    """A program refuses: nothing was touched."""
    return Reply(out=json.dumps({"refused": {"reason": reason, "detail": detail}}))


def failed(reason, detail="", traceback=""):
    """A program fails."""
    words = {"reason": reason, "detail": detail, "traceback": traceback}
    return Reply(out=json.dumps({"failed": words}))


def answered(answer, parts=()):
    """A program answers, after it sent these parts."""
    lines = [{"part": msgspec.to_builtins(part)} for part in parts]
    lines.append({"ok": msgspec.to_builtins(answer)})
    return Reply(out="".join(json.dumps(line) + "\n" for line in lines))


@dataclass
class Expected:
    """One call: a program and its request, or a command; and its result."""

    what: Program | Command | str
    request: object
    reply: object
    user: str | None
    times: int | None

    def describe(self):
        if isinstance(self.what, Program):
            return f"{self.what.name} {self.request!r}"
        return self.what if isinstance(self.what, str) else self.what.line()

    def fits(self, command, user):
        """Whether a call is this one."""
        if self.user not in (None, user):
            return False
        if isinstance(self.what, Program):
            return (
                isinstance(command, ProgramCommand)
                and command.module == self.what.module
                and (self.request is ANY or command.request == self.request)
            )
        return (
            isinstance(self.what, Command)
            and not isinstance(command, ProgramCommand)
            and (command.args, command.stdin) == (self.what.args, self.what.stdin)
        )


class FakeHost(Host):
    """A host whose every shell is a script of the test."""

    def __init__(self, name="tpp", **spec):
        self.told, self.stop = [], threading.Event()
        self.problems, self.seen = [], []
        self._script = []
        self.login_name = "ops"
        super().__init__(
            HostSpec(name=name, address=name, **spec),
            connect=self._never,
            observer=self.told.append,
            stop=self.stop,
        )

    # -- the script --------------------------------------------------------------------------

    def expect(self, what, request_or_reply="", reply=None, *, user=None, times=1):
        """Expect a program with a request, or a command; `reply` may be an exception.

        A program's reply is its answer, or a `Reply`; a command's is its output, or a `Reply`.
        `user` also checks the account. `times` None: any number of times, from here on, whatever
        the order (for reads that a loop repeats).
        """
        is_program = isinstance(what, Program)
        request = request_or_reply if is_program else None
        made = reply if is_program else request_or_reply
        self._script.append(Expected(what, request, _reply(made, is_program), user, times))

    def expect_lock(self, task, held_by=None):
        """Expect that a change takes the lock; `held_by` is an `Owner` who has it."""
        reply = Reply()
        if held_by is not None:
            words = {name: getattr(held_by, name) for name in ("who", "task", "since", "run_id")}
            reply = Reply(lock.BUSY_CODE, json.dumps(words))
        self._script.append(Expected(f"lock for {task}", None, reply, None, 1))

    def finish(self):
        """Fail unless exactly what was expected was called."""
        left = [item.describe() for item in self._script if item.times is not None]
        problems = [*self.problems, *(f"never called: {text}" for text in left)]
        assert not problems, "\n".join(problems)

    @property
    def steps(self):
        """The steps that the workflow reported."""
        return [event.text for event in self.told if isinstance(event, events.StepReached)]

    # -- the host ----------------------------------------------------------------------------

    @staticmethod
    def _never(spec):
        raise AssertionError("no connection in these tests")

    def open_session(self, user):
        return FakeSession(self, user)

    def login_user(self):
        return self.login_name

    def answer(self, command, user):
        self.seen.append(command)
        item = next((i for i in self._script if i.times is None and i.fits(command, user)), None)
        following = next((i for i in self._script if i.times is not None), None)
        if item is None and following is not None and following.fits(command, user):
            item = following
            self._script.remove(item)
        if item is None:
            self._complain(_told(command, user), following)
        return _replied(item, command.line())

    def take_lock(self, text):
        """The shell text of a lock that is taken, or given back."""
        if "flock -w" not in text:
            return Result("", 0, "", "")
        entry = json.loads(text.split("printf '%s\\n' '", 1)[1].split("'", 1)[0])
        following = next((i for i in self._script if i.times is not None), None)
        if following is None or following.what != f"lock for {entry['task']}":
            self._complain(f"lock for {entry['task']}", following)
        self._script.remove(following)
        return _replied(following, "lock")

    def _complain(self, what, following):
        wanted = following.describe() if following else "nothing more"
        problem = f"called: {what}\nexpected: {wanted}"
        self.problems.append(problem)
        raise AssertionError(problem)


@dataclass
class FakeSession:
    """The counterpart of `Session` of a real host."""

    host: FakeHost
    user: str
    pid: int = field(default=0)

    def batch(self, commands):
        return [self.host.answer(command, self.user) for command in commands]

    def enclosed(self, command, before, after):
        return self.host.answer(command, self.user)

    def evaluate(self, text, timeout_s=30.0):
        return self.host.take_lock(text)

    def ready(self):
        pass

    def stream(self, command, on_out):
        result = self.host.answer(command, self.user)
        on_out(result.out.encode("utf-8", "surrogateescape"))
        return Result(result.command, result.code, "", result.err)

    def close(self):
        pass


def _reply(made, is_program):
    if isinstance(made, Reply | BaseException):
        return made
    return answered(made) if is_program else Reply(out=made)


def _replied(item, line):
    if isinstance(item.reply, BaseException):
        raise item.reply
    return Result(line, item.reply.code, item.reply.out, item.reply.err)


def _told(command, user):
    if isinstance(command, ProgramCommand):
        name = command.module.removeprefix("opstasks.").replace(".onhost.", ".")
        return f"{name} {command.request!r} as {user}"
    return f"{command.line()} as {user}"
