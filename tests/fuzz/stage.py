"""Runs a real task in this process, with hosts that answer from a script.

Host `a` gives the answers of the test, host `b` is sane. Everything between the answer and the
screen is the real code: decoding, the task, its tables and its JSON.
"""

import copy
import io
import json
import math
import random
import re
import sys
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from invoke.exceptions import Exit

import opstasks.sandbox
from opstasks.config import templates
from opstasks.core.errors import Interrupted, Unreachable
from opstasks.core.result import Result
from opstasks.doctor import drift
from opstasks.fleet import host_settings
from opstasks.fleet.host import Host
from opstasks.fleet.lock import UNSAFE_CODE
from opstasks.fleet.program import ProgramCommand
from opstasks.manage import describe, disable
from opstasks.output import live, progress
from tests.fake_host import Reply
from tests.fuzz import answers, commands
from tests.programs import declared

HOSTS = """
defaults:
  level3_source: /e/FILESFORL4
  level4_folder: 'D:\\x'
  backend: sandbox
  backends: BACKENDS
hosts:
  a: {address: a.example}
  b: {address: b.example}
"""
BACKENDS = Path(opstasks.sandbox.__file__).parent / "backends"
# How often an endless wait checks the host before it gets a Ctrl-C.
LOOKS = 3
# How fast the clock goes during a wait.
FASTER = 20


class Screen(io.TextIOWrapper):
    """A stream that keeps what is written, and says whether it is a terminal."""

    def __init__(self, is_terminal):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._is_terminal = is_terminal

    def isatty(self):
        return self._is_terminal

    def text(self):
        return self.buffer.getvalue().decode()


@dataclass(frozen=True)
class Run:
    """How a run ended, and what it printed."""

    code: int
    out: str
    err: str


class Replies:
    """What a hostile host answers to one program: so many replies, then the last one again.

    Each is made when it is asked for, because most are not: `make` makes one from a `Random`.
    """

    def __init__(self, make, seed, count):
        self._make, self._dice, self._left = make, random.Random(seed), count
        self.made = []

    def __repr__(self):
        return f"Replies({self.made!r})"

    def next(self):
        """The next reply."""
        if self._left:
            self._left -= 1
            self.made.append(self._make(self._dice))
        return self.made[-1]


@dataclass
class Script:
    """What each host answers: by the name of a program, "" for a plain command, "lock" for flock.

    A program without replies gives a sane answer: for `b` the first one, for `a` the one with
    this number, for both the one in `good`. `asked` has what `a` was asked.
    """

    replies: dict[str, Replies] = field(default_factory=dict)
    number: int = 0
    good: Mapping[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def reply(self, host, command):
        name = ""
        if isinstance(command, ProgramCommand):
            name = command.module.removeprefix("opstasks.").replace(".onhost.", ".")
        if host == "a":
            self.asked.append(name)
            if replies := self.replies.get(name):
                return replies.next()
        if name == "onhost.several":
            return self._several(host, command)
        if name:
            usual = self.number if host == "a" else 0
            return answers.sane_reply(PROGRAMS[name], self.good.get(name, usual))
        return Reply(out=commands.sane(command.line()))

    def _several(self, host, command):
        """Several programs in one Python: one line of an answer for each."""
        lines = []
        for module, request in command.request["programs"]:
            one = ProgramCommand((), module=module, request=request)
            lines.append(self.reply(host, one).out.rstrip("\n").rpartition("\n")[2] + "\n")
        return Reply(out="".join(lines))


PROGRAMS = declared()


class StageSession:
    """The counterpart of `opstasks.fleet.session.Session`."""

    def __init__(self, host, script):
        self._host, self._script, self.pid = host, script, 1

    def batch(self, wanted):
        return [self._result(command) for command in wanted]

    def enclosed(self, command, before, after):
        return self._result(command)

    def evaluate(self, text, timeout_s=30.0):
        if self._host == "a" and "flock -w" in text and (busy := self._script.replies.get("lock")):
            reply = busy.next()
            return Result("lock", reply.code, reply.out, reply.err)
        # The lock must be made safe first, by a program that may also get a nonsense answer.
        is_unsafe = self._host == "a" and "$EUID" in text
        return Result("", UNSAFE_CODE if is_unsafe else 0, "", "")

    def stream(self, command, on_out):
        result = self._result(command)
        on_out(result.out.encode("utf-8", "surrogatepass"))
        return Result(result.command, result.code, "", result.err)

    def ready(self):
        pass

    def close(self):
        pass

    def _result(self, command):
        reply = self._script.reply(self._host, command)
        return Result(command.line(), reply.code, reply.out, reply.err)


class StageHost(Host):
    """A host of the stage: a wait takes no time, but the clock advances."""

    def open_session(self, user):
        return StageSession(self.name, SCRIPT[0])

    def pause(self, seconds):
        SKEW_S[0] += seconds * FASTER

    def wait_until(self, find, *, timeout_s, where, every_s=1.0):
        if math.isfinite(timeout_s):
            return super().wait_until(find, timeout_s=timeout_s, where=where, every_s=every_s)
        for _ in range(LOOKS):
            if (found := find()) is not None:
                return found
        raise Interrupted(f"stopped at your request; {where}", host=self.name)

    def prove(self, user):
        pass


class Watch:
    """The time of `--watch`: after some rounds, a person types Ctrl-C."""

    def __init__(self):
        self._rounds = 0

    @staticmethod
    def monotonic():
        return time.monotonic()

    def sleep(self, seconds):
        self._rounds += 1
        if self._rounds % LOOKS == 0:
            raise KeyboardInterrupt


SKEW_S = [0.0]
SCRIPT = [Script()]


class Transport:
    """A connection that is never used, and opens no terminal."""

    @property
    def connection(self):
        raise Unreachable("there is no terminal on a stage", host="a")

    def is_alive(self):
        return True

    def lost_because(self):
        return ""

    def current_user(self):
        return ""

    def answers(self, timeout_s):
        return True

    def close(self):
        pass


@contextmanager
def prepared(patch, tmp_path):
    """While inside, `run` has the hosts of the stage, a fixed clock, and no files of a person."""
    (tmp_path / "hosts.yaml").write_text(HOSTS.replace("BACKENDS", str(BACKENDS)))
    for program in PROGRAMS.values():
        answers.sane_answers(program)  # here: msgspec may not examine a type in two threads
    patch.setenv("OPSTASKS_HOSTS", str(tmp_path / "hosts.yaml"))
    patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # A terminal with colours, whose last lines are replaced: also those that only a wait shows.
    patch.setenv("TERM", "xterm")
    patch.delenv("NO_COLOR", raising=False)
    patch.delenv("FORCE_COLOR", raising=False)
    patch.setattr(progress, "PATIENCE_S", 0.0)
    patch.setattr("opstasks.fleet.host.Host", StageHost)
    patch.setattr("opstasks.cli.app.App._connect", lambda app, spec: Transport())
    patch.setattr(time, "time", lambda: answers.NOW)
    patch.setattr("opstasks.fleet.last_run.write", lambda path, run: None)
    _read_files_once(patch)
    real = time.monotonic
    patch.setattr(time, "monotonic", lambda: real() + SKEW_S[0])
    # Not 0: a thread that an earlier test left would run without a pause.
    sleep = time.sleep
    patch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.001)))
    patch.setattr("opstasks.cli.watching.time", Watch())
    yield


def _read_files_once(patch):
    """Read hosts.yaml and each host's description once for all runs: no host can change them."""
    patch.setattr(host_settings, "load", _once(host_settings.load))
    describe_once = _once(describe.describe)
    for module in (describe, disable, drift, templates):
        patch.setattr(module, "describe", describe_once)


def _once(read):
    """A function of one value that remembers its results; not every value has a hash."""
    known = {}

    def call(value):
        key = repr(value)
        if key not in known:
            known[key] = read(value)
        return known[key]

    return call


@contextmanager
def _streams(columns):
    """Standard output and error that are kept; a terminal if it has columns."""
    kept = sys.stdin, sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Screen(bool(columns)), Screen(bool(columns))
    sys.stdin = Screen(bool(columns))
    try:
        yield sys.stdout, sys.stderr
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept


@cache
def parsed(*argv):
    """The program with a line parsed, ready to be executed any number of times."""
    from opstasks.cli.program import CommandLine, Executor
    from opstasks.namespace import namespace

    # A copy: Invoke takes the help texts out of the tasks that it parses.
    tasks = copy.deepcopy(namespace)
    program = CommandLine(namespace=tasks, executor_class=Executor, name="inv", binary="inv")
    program.create_config()
    program.parse_core(["inv", *argv])
    program.parse_collection()
    program.parse_tasks()
    program.parse_cleanup()
    program.update_config()
    return program


def run(argv, script, *, columns=0):
    """Run `inv ARGV`; `columns` 0 is a pipe, any other number a terminal of that width."""
    SCRIPT[0] = script
    kept, sys.argv = sys.argv, ["inv", *argv]
    try:
        with _streams(columns) as (out, err), _width(columns):
            try:
                parsed(*argv).execute()
                code = 0
            except Exit as end:
                code = end.code
                print(end.message or "", file=err)
            return Run(code, out.text(), err.text())
    finally:
        sys.argv = kept


@contextmanager
def _width(columns):
    """The width of the terminal."""
    from opstasks.core import window

    kept = window.size, live.size, window.size_of
    window.size = live.size = lambda: (columns, 24)
    window.size_of = lambda stream: (columns, 24)
    try:
        yield
    finally:
        window.size, live.size, window.size_of = kept


# -- what a run shows of host b ----------------------------------------------------------------


OUTCOMES = ("failed", "refused", "unreachable", "unknown", "interrupted", "not started")
# What a line about a host has before its name: its number in a change, or the time of a record.
NUMBER = re.compile(r"^\[\d/\d\] ")
TIME = re.compile(r"^(?:-|\d{4}-\d\d-\d\dT[\d:.]+Z)  ")
ERROR = re.compile(r"error  .* \((a, )?b\)", re.DOTALL)
# A line that belongs to the one before it.
MORE = (" ", "now:", "next:")
# How long something took: a host cannot change it, but this machine can.
TOOK = re.compile(r" \(?(?:after )?[\dhm.]+s\)?$")


def rows_of(run):
    """What a run says about host `b`: its part of the document, or its lines and errors.

    A row with the outcome alone is left out: it is shown if another host has a row, and the error
    says the same.
    """
    if run.out.startswith("{"):
        found = json.loads(run.out).get("hosts", {}).get("b", {})
        return {key: value for key, value in found.items() if key != "elapsed_s"}
    alone = [f"b {outcome}" for outcome in OUTCOMES]
    return [line for line in (*_about(run.out), *_about(run.err)) if line not in alone]


def _about(text):
    """The lines about `b`, each with those that belong to it."""
    is_about = False
    for line in text.split("\n"):
        if not line.startswith(MORE):
            line = NUMBER.sub("", line)
            is_about = TIME.sub("", line).startswith(("b ", "b: ", "b | "))
            # An error that is the same on both hosts is shown once, and so is a plan.
            is_about = is_about or line.startswith("a, b: ") or bool(ERROR.fullmatch(line))
        if is_about:
            line = TOOK.sub("", line).replace("a, b", "b").replace("-H a,b ", "-H b ")
            yield " ".join(line.split())
