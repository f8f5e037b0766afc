"""Commands as values: lists of arguments, quoted by default, rendered in one place.

The arguments of a command never contain a secret: every user of a host can read them in /proc. A
secret travels on standard input only, wrapped in `Secret`, and prints as ``***``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import PurePath

DEFAULT_TIMEOUT_S = 120.0
# More than a usual command prints.
MAX_OUTPUT_BYTES = 32 << 20


@dataclass(frozen=True)
class Secret:
    """Text that must never be shown; only `Command.stdin` accepts one."""

    value: str

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


@dataclass(frozen=True)
class Raw:
    """Shell text that is used without quoting; make it only from constants."""

    text: str


# Called with standard output and standard error: whole lines, either may be empty.
OnOut = Callable[[bytes, bytes], None]
Argument = str | int | PurePath | Raw


@dataclass(frozen=True)
class Command:
    """One command line: its input, its exit codes for success, its limits.

    `timeout_s` is in seconds and enforced on the host, so the remote process ends as well.
    `max_bytes` is its output limit; a command that prints more is an error.
    `mutates`: if the connection is lost while it runs, the host's state is unknown.
    `on_out` is called with the whole lines of both outputs that have arrived while it still runs.
    """

    args: tuple[Argument, ...]
    stdin: str | Secret | None = None
    ok: tuple[int, ...] = (0,)
    timeout_s: float = DEFAULT_TIMEOUT_S
    mutates: bool = False
    max_bytes: int = MAX_OUTPUT_BYTES
    on_out: OnOut | None = field(default=None, compare=False, repr=False)

    def line(self) -> str:
        """The command line as the shell reads it."""
        return " ".join(quote(arg) for arg in self.args)

    def shown(self) -> str:
        """The command line for people: words that a person typed may contain a secret."""
        from opstasks.onhost import masking  # only where a command is shown

        texts = [arg.text if isinstance(arg, Raw) else str(arg) for arg in self.args]
        words = masking.masked_words(texts)
        pairs = zip(self.args, words, strict=True)
        return " ".join(w if isinstance(arg, Raw) else shlex.quote(w) for arg, w in pairs)

    def accepting(self, *codes: int) -> Command:
        """The same command with other exit codes that count as success."""
        return replace(self, ok=codes)

    def changing(self) -> Command:
        """The same command, marked as one that changes the host."""
        return replace(self, mutates=True)

    def printing(self, max_bytes: int) -> Command:
        """The same command with another output limit, in bytes."""
        return replace(self, max_bytes=max_bytes)

    def passing_on(self, on_out: OnOut) -> Command:
        """The same command; its lines are passed on while it runs."""
        return replace(self, on_out=on_out)

    def within(self, timeout_s: float) -> Command:
        """The same command with another time limit, in seconds."""
        return replace(self, timeout_s=timeout_s)


def quote(arg: Argument) -> str:
    """One argument as shell text; everything but `Raw` is quoted."""
    return arg.text if isinstance(arg, Raw) else shlex.quote(str(arg))


def cmd(*args: Argument, stdin: str | Secret | None = None) -> Command:
    """Build a command from its arguments: ``cmd("git", "-C", path, "fetch")``.

    Raises ValueError for an argument with a NUL byte, which a command line cannot contain.
    """
    for arg in args:
        if "\0" in str(arg):
            raise ValueError("an argument contains a NUL byte")
    return Command(args, stdin=stdin)


def pipe(*commands: Command) -> Command:
    """Feed each command's output to the next; fails when any of them fails.

    Raises ValueError for a command with standard input.
    """
    if any(command.stdin is not None for command in commands):
        raise ValueError("only a single command can be given standard input")
    line = " | ".join(command.line() for command in commands)
    return Command(
        (Raw(f"set -o pipefail; {line}"),),
        timeout_s=sum(command.timeout_s for command in commands),
        mutates=any(command.mutates for command in commands),
    )
