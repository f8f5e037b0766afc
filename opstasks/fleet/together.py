"""Several programs of ours in one Python: each start costs a host 15 to 30 ms of CPU time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from opstasks.core.command import Command, Secret
from opstasks.core.result import Result
from opstasks.fleet.host import Shell
from opstasks.fleet.program import PYTHON, ProgramCommand, packed

SEVERAL = "opstasks.onhost.several"


def gather(shell: Shell, commands: Mapping[str, Command]) -> dict[str, Result]:
    """Like `Shell.gather`, with one process for all programs of ours.

    They run in the order of `commands`, after the other commands. A program that hangs takes the
    time of those after it: put one that may hang last.
    """
    programs = {
        name: command
        for name, command in commands.items()
        if isinstance(command, ProgramCommand) and not command.mutates
    }
    if len(programs) < 2:
        return shell.gather(commands)
    others = {name: command for name, command in commands.items() if name not in programs}
    parts = list(programs.values())
    *results, whole = shell.batch([*others.values(), together(parts)])
    found = dict(zip(others, results, strict=True))
    return found | dict(zip(programs, apart(parts, whole), strict=True))


def together(commands: Sequence[ProgramCommand]) -> ProgramCommand:
    """The command that runs several programs, with their time limits and sizes added up."""
    modules = [command.module for command in commands]
    programs = [(c.module, msgspec.to_builtins(c.request)) for c in commands]
    request = {"programs": programs}
    names = "+".join(str(command.args[-1]) for command in commands)
    return ProgramCommand(
        (*PYTHON, names),
        stdin=Secret(packed(SEVERAL, request, *modules)),
        timeout_s=sum(command.timeout_s for command in commands),
        max_bytes=sum(command.max_bytes for command in commands),
        module=SEVERAL,
        request=request,
    )


def apart(commands: Sequence[ProgramCommand], whole: Result) -> list[Result]:
    """The result of each program, for its own `Program.decode`.

    A program that has not answered before the process ended gets the process's exit code.
    """
    lines = [line for line in whole.out.split("\n")[:-1] if not line.startswith('{"part"')]
    answers = dict(zip(range(len(commands)), lines, strict=False))
    return [
        Result(command.line(), 0, answers[number], "", whole.elapsed_s)
        if number in answers
        else Result(command.line(), whole.code, "", whole.err, whole.elapsed_s)
        for number, command in enumerate(commands)
    ]
