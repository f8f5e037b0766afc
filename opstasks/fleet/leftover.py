"""Nothing of a change runs beside a process that an earlier step of it left behind.

A step may end before its processes do: somebody kills its `timeout` or its Python, or a program
that it started does not stop. Such a process continues to change the host. So all processes of a
change inherit the writing end of a pipe, and the framed shell has the reading end: the kernel
reports the end of the pipe when the last of them is gone. (The lock cannot tell, because the shell
holds it as well.)

While such a process runs, the framed shell runs no command: not the one that undoes the step, and
not the one that reads the result. We wait for it; if it does not end, the outcome is unknown.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from opstasks.core.command import Command
from opstasks.core.errors import InvalidResponse, Lost
from opstasks.core.result import Result
from opstasks.fleet.marks import NOT_RUN

# How long to wait for the processes of an earlier step.
WAIT_S = 120.0
# How long the host waits before it answers that they still run.
LISTEN_S = 2
# The descriptors of the pipe: the shell reads, all processes of the change have the other end.
READ_FD, WRITE_FD = 7, 6

_PIPE = f"/proc/self/fd/{READ_FD}"
_CLOSE, _REOPEN = f"exec {WRITE_FD}>&-", f"exec {WRITE_FD}>{_PIPE}"
_IS_OVER = f"read -r -t 0 -u {READ_FD}"
_LINE = re.compile(r"(\d{1,10}) ([^\n]*)")

# Shell text that opens the pipe. The first writer must be gone before the first command.
OPEN_TEXT = f"exec {READ_FD}< <(:) && ! read -r -u {READ_FD} && {_REOPEN}"
# The function that `opstasks.fleet.framing` calls before each command. $X is set from the first
# command that was not run until `wait_text`: the next ones that were sent must not run either.
GUARD_TEXT = f'w() {{ [ "$X" ] || {{ {_CLOSE}; {_IS_OVER} || X=1; {_REOPEN}; }}; [ ! "$X" ]; }}'


def wait_text(listen_s: int) -> str:
    """Shell text that waits some seconds; it succeeds when all processes are gone.

    If not, it prints each one: its id and its command line.
    """
    return (
        f"{_CLOSE}; read -r -t {listen_s} -u {READ_FD}; if {_IS_OVER}; then X=; else X=1;"
        f" for p in /proc/[0-9]*; do [ $p/fd/{WRITE_FD} -ef {_PIPE} ] &&"
        " printf '%s %.100s\\n' ${p##*/} \"$(tr '\\0\\n' '  ' <$p/cmdline)\"; done; fi 2>/dev/null;"
        f' {_REOPEN}; [ ! "$X" ]'
    )


def end_text(when_over: str) -> str:
    """Shell text that closes the pipe; runs another one first if all processes are gone."""
    return f"{_CLOSE}; {_IS_OVER} && {{ {when_over}; }}; exec {READ_FD}<&-; w() {{ :; }}; X="


class Runs(Protocol):
    """The framed shell of a change."""

    def batch(self, commands: Sequence[Command]) -> list[Result]:
        """Run commands in order."""

    def evaluate(self, text: str) -> Result:
        """Run shell text in the shell itself."""


def in_turn(
    shell: Runs, commands: Sequence[Command], host: str, told: Callable[[str], None]
) -> list[Result]:
    """Run commands; the host holds them back while a process of an earlier step runs.

    `told` gets a text for people when we wait. Raises Lost if the process does not end in time.
    """
    results = shell.batch(commands)
    while results and results[-1].code == NOT_RUN:
        done = list(itertools.takewhile(lambda result: result.code != NOT_RUN, results))
        wait(shell, host, told)
        rest = shell.batch(commands[len(done) :])
        if rest[0].code == NOT_RUN:
            raise _invalid(host)
        results = [*done, *rest]
    return results


def _invalid(host: str) -> InvalidResponse:
    return InvalidResponse(
        "invalid response from the host: it does not run a command",
        host=host,
        hint=f"inv -H {host} doctor",
    )


def wait(shell: Runs, host: str, told: Callable[[str], None]) -> None:
    """Wait until all processes of the change's earlier steps are gone.

    Raises Lost after WAIT_S seconds: what they still do is not known.
    """
    if shell.evaluate(wait_text(0)).code == 0:
        return
    told("wait until an earlier step has really ended")
    deadline, shown = time.monotonic() + WAIT_S, ""
    while (found := shell.evaluate(wait_text(LISTEN_S))).code:
        processes = describe(found.out)
        if time.monotonic() > deadline:
            raise Lost(
                f"{processes} of an earlier step still runs after {WAIT_S:g} s;"
                " nothing was done beside it, and nothing was undone",
                host=host,
                hint="wait until it ends, then run the same command again; or stop it:"
                f" inv -H {host} lock.break --reason ...",
            )
        if processes != shown:
            told(f"wait for {processes} of an earlier step")
            shown = processes


def describe(text: str) -> str:
    """For people, from what `wait_text` printed: ``process 12 (git checkout main)``."""
    found = [match.groups() for line in text.split("\n") if (match := _LINE.fullmatch(line))]
    if not found:
        return "a process"
    pid, command = found[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"process {pid} ({command.strip()}){more}"
