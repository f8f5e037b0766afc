"""Our programs on a host: declared once, sent whole, called by one protocol.

A program is a module in an ``onhost`` folder with ``main(request) -> answer``, both plain
dictionaries. Here it has a name, a request type and an answer type::

    READ = Program("opstasks.jobs.onhost.read", ReadRequest, ReadAnswer)
    answer = host.service.call(READ, ReadRequest(...))

The modules travel with the request on standard input, so their size has no limit. Neither modules
nor request appear in a process list, or in a message of bash or Python about a killed program.
`opstasks.onhost.protocol` describes the answer.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Generic, TypeVar

import msgspec

from opstasks.core.command import DEFAULT_TIMEOUT_S, Command, Secret
from opstasks.core.errors import CommandFailed, InvalidResponse, ProgramFailed, Refused, TimedOut
from opstasks.core.fields import ready
from opstasks.core.result import TIMEOUT_CODES, Result
from opstasks.onhost import script

Q = TypeVar("Q")
A = TypeVar("A")
# More than any valid answer.
MAX_ANSWER_BYTES = 16 << 20
# How much to compress: higher levels take several times as long for a few hundred bytes.
LEVEL = 6
# After a program that may have changed something, and gave no answer.
AGAIN = "run the same command again: it inspects the host first and continues"
# What helps, by the cause that a program names (`opstasks.onhost.disk_errors`, `folder_rights`).
CAUSES = {
    "killed": AGAIN,
    "full": "free some space there, then run the same command again",
    "closed": "as root: give it to the service account (chown -R; chmod -R u+rwX)",
    "no folder": "as root: look at what is there instead of the folder, and move it away (mv)",
    "read-only": "find out why the disk is read-only (dmesg), then run the same command again",
}
# How one module of a host imports another; a parser takes ten times as long.
_IMPORT = re.compile(
    r"^\s*from (opstasks\.(?:\w+\.)?onhost(?:\.\w+)?) import (\([^)]*\)|[^(\n]+)", re.MULTILINE
)
# The same command starts every program: it runs the first line of its input, START_LINE.
PYTHON = ("python3", "-I", "-c", "import sys; exec(sys.stdin.readline())")
# The other lines of the input are the modules, the name of the program's module, and the request.
# None of them is Python text, because Python prints the damaged line of a program with an error.
START_LINE = (
    "import binascii, json, zlib;"
    " u = lambda: zlib.decompress(binascii.a2b_base64(sys.stdin.readline())).decode();"
    " s, m, r = json.loads(u()), sys.stdin.readline().strip(), u();"
    " p = 'opstasks/onhost/loader.py'; n = {'__name__': 'opstasks.onhost.loader'};"
    " exec(compile(s[p], p, 'exec'), n); n['start'](s, m, r)\n"
)
# Every program needs these modules to run.
_ALWAYS = ("opstasks.onhost.loader", "opstasks.onhost.protocol")


@dataclass(frozen=True)
class ProgramCommand(Command):
    """The command that runs one of our programs: `module`, with `request`.

    A request may hold a secret, so it is not shown.
    """

    module: str = ""
    request: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Program(Generic[Q, A]):
    """One program: its module, and the types of its request and answer.

    `part` is the type of what it sends while it works, for `opstasks.fleet.host.Shell.follow`.
    `changes`: if the connection is lost while it runs, the host's state is unknown.
    """

    module: str
    request: type[Q]
    answer: type[A]
    part: Any = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    changes: bool = False
    max_bytes: int = MAX_ANSWER_BYTES

    @property
    def name(self) -> str:
        """The name for people and for the host's process list: ``jobs.read``."""
        return self.module.removeprefix("opstasks.").replace(".onhost.", ".")

    def command(self, request: Q, *, timeout_s: float | None = None) -> ProgramCommand:
        """The command that runs it; decode its output with `decode`."""
        return ProgramCommand(
            (*PYTHON, self.name),
            stdin=Secret(packed(self.module, request)),
            timeout_s=self.timeout_s if timeout_s is None else timeout_s,
            mutates=self.changes,
            max_bytes=self.max_bytes,
            module=self.module,
            request=request,
        )

    def stream_command(self, request: Q) -> ProgramCommand:
        """The command for a stream: it has no time limit."""
        return ProgramCommand(
            (*PYTHON, self.name),
            stdin=Secret(packed(self.module, request)),
            mutates=self.changes,
            module=self.module,
            request=request,
        )

    def decode(self, result: Result, host: str, *, timeout_s: float | None = None) -> A:
        """The answer of a host; `timeout_s` is the limit if `command` got another one.

        Raises Refused or ProgramFailed with the host's reason, TimedOut or CommandFailed when there
        was no answer, InvalidResponse for an invalid one.
        """
        lines = result.out.rstrip().rsplit("\n", 1)
        try:
            return self._ending(_loaded(lines[-1]), host)
        except _NoAnswerError as error:
            if result.code:
                raise self._broken(result, host, timeout_s or self.timeout_s) from None
            raise self.invalid(str(error), host) from None

    def _ending(self, found: Any, host: str) -> A:
        """The value of the last line; raises the error that it reports instead."""
        from opstasks.onhost.masking import masked  # an error may repeat a value or a command

        kind, value = _only(found)
        if kind == "ok":
            return _converted(value, self.answer)
        if kind == "refused":
            no = _converted(value, _Refusal)
            hint = CAUSES.get(no.cause, "")
            raise Refused(masked(no.reason), host=host, tail=masked(no.detail), hint=hint)
        if kind == "failed":
            why = _converted(value, _Failure)
            raise ProgramFailed(
                masked(why.reason),
                host=host,
                command=self.name,
                tail=masked(why.detail),
                traceback=masked(why.traceback),
                cause=why.cause,
                hint=CAUSES.get(why.cause) or f"inv -H {host} doctor",
            )
        raise _NoAnswerError(f"an answer of the kind {kind[:40]!r}")

    def _broken(self, result: Result, host: str, timeout_s: float) -> CommandFailed | TimedOut:
        hint = AGAIN if self.changes else f"run it again, or: inv -H {host} doctor"
        details = {"host": host, "command": self.name, "tail": result.tail(), "hint": hint}
        if result.code in TIMEOUT_CODES and result.elapsed_s >= timeout_s * 0.9:
            return TimedOut(f"{self.name} did not finish in time and was stopped", **details)
        return CommandFailed(
            f"{self.name} ended with exit code {result.code}, without an answer",
            returned=result.code,
            **details,
        )

    def invalid(self, problem: str, host: str) -> InvalidResponse:
        """The error for a host whose output is not an answer of this program."""
        return InvalidResponse(
            f"invalid response from the host: {problem}",
            host=host,
            command=self.name,
            hint=f"inv -H {host} doctor",
        )


class Reader(Generic[A]):
    """Reads a program's output as it arrives: passes on its parts, keeps its answer."""

    def __init__(self, program: Program[Any, A], host: str, on_part: Callable[[Any], None]) -> None:
        self._program, self._host, self._on_part = program, host, on_part
        self._rest: list[bytes] = []
        self._size_bytes = 0
        self._last: Any = None

    def take(self, data: bytes) -> None:
        """Take a piece of output; raises InvalidResponse for an invalid part."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._line(b"".join([*self._rest, line]))
            self._rest, self._size_bytes = [], 0
        self._rest.append(rest)
        self._size_bytes += len(rest)
        if self._size_bytes > self._program.max_bytes:
            problem = f"a line of more than {self._program.max_bytes >> 20} MiB"
            raise self._program.invalid(problem, self._host)

    def end(self, result: Result) -> A:
        """The answer; raises what `Program.decode` raises."""
        if any(self._rest) and not result.code:  # a last line without a line end
            self.take(b"\n")
        out = "" if self._last is None else json.dumps(self._last)
        return self._program.decode(
            Result(result.command, result.code, out, result.err, result.elapsed_s), self._host
        )

    def _line(self, line: bytes) -> None:
        try:
            found = _loaded(line.decode("utf-8", "surrogateescape"))
            kind, value = _only(found)
            if kind == "part":
                self._on_part(_converted(value, self._program.part))
            else:
                self._last = found
        except _NoAnswerError as error:
            raise self._program.invalid(str(error), self._host) from None


class _Refusal(msgspec.Struct):
    reason: str
    detail: str = ""
    cause: str = ""


class _Failure(msgspec.Struct):
    reason: str
    detail: str = ""
    traceback: str = ""
    cause: str = ""


class _NoAnswerError(Exception):
    """The text is not an answer of the protocol."""


def _loaded(text: str) -> Any:
    """The value of a line of JSON; NaN and Infinity are errors, as in JSON itself."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _NoAnswerError("it is not JSON" if text.strip() else "it is empty") from None


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def _only(found: Any) -> tuple[str, Any]:
    """The one key of an object, and its value."""
    if not isinstance(found, dict) or len(found) != 1:
        raise _NoAnswerError("it is not an answer")
    ((kind, value),) = found.items()
    return str(kind), value


def _converted(value: Any, kind: type[A]) -> A:
    try:
        return msgspec.convert(value, ready(kind))
    except msgspec.ValidationError as error:
        raise _NoAnswerError(str(error)) from None
    except UnicodeEncodeError:  # a name of a field that is not UTF-8
        raise _NoAnswerError("it is not UTF-8") from None
    except RecursionError:
        raise _NoAnswerError("it is nested too deeply") from None
    except UnicodeError:  # of a key; a value may be any text
        raise _NoAnswerError("it is not text") from None


# -- sending -----------------------------------------------------------------------------------


@cache
def sources(*modules: str) -> dict[str, str]:
    """Modules, and those of ours that they import: path to text, in import order."""
    found: dict[str, str] = {}
    for name in (*_ALWAYS, *modules):
        _collect(name, found)
    return found


def _collect(module: str, found: dict[str, str]) -> None:
    path = module.replace(".", "/") + ".py"
    if path in found:
        return
    package, _, name = module.rpartition(".")
    text = resources.files(package).joinpath(f"{name}.py").read_text("utf-8")
    for used in _imports(text):
        _collect(used, found)
    found[path] = text


def _imports(text: str) -> list[str]:
    """The modules of ours that a text imports, whole or names from them."""
    found: list[str] = []
    for module, names in _IMPORT.findall(text):
        if module.endswith(".onhost"):  # from opstasks.onhost import flock
            words = names.strip("()").split(",")
            found += [f"{module}.{word.split()[0]}" for word in words if word.strip()]
        else:
            found.append(module)
    return found


def packed(module: str, request: Any, *also: str) -> str:
    """The input of `PYTHON`: a whole program, its request, and modules that it imports by name.

    The modules are packed once per run.
    """
    wanted = _squeezed(json.dumps(msgspec.to_builtins(request)))
    return f"{START_LINE}{_packed_modules(module, *also)}\n{module}\n{wanted}\n"


@cache
def _packed_modules(*modules: str) -> str:
    return _squeezed(json.dumps(sources(*modules)))


def _squeezed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), LEVEL)).decode()


def script_text(module: str, request: Any, about: str) -> str:
    """A program and its request as one readable file, for a timer or the next boot.

    `about` is a line at its top, for people.
    """
    return script.script_text(sources(module), module, msgspec.to_builtins(request), about)
