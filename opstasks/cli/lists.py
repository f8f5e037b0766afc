"""`--list` and its flags, where the stock ``inv`` leaves them unparsed: after a flag of ours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Sequence
from typing import Any

from opstasks.cli.argv import value_of
from opstasks.cli.options import LIST_FLAGS
from opstasks.cli.values import Choice, Number

FORMATS = Choice(("flat", "nested", "json"))


def take_flags(args: Any, typed: Sequence[str], tasks: Callable[[], Container[str]]) -> None:
    """Give `args`, which Invoke parsed, what was typed for a list; raises Refused.

    `tasks` makes the names of all tasks; it is called only if they are needed.
    """
    if not args.list.value and (flag := _list_flag(typed, tasks)):
        group = value_of(flag, typed)
        args.list.set_value(True if group.startswith("-") else group or True, cast=False)
    if args.list.value:
        for arg in (args[name] for name in LIST_FLAGS):
            _take(arg, typed)


def _list_flag(typed: Sequence[str], tasks: Callable[[], Container[str]]) -> str:
    """How --list was typed, "" if it was not; after a task, -l may be a flag of the task."""
    if any(word.partition("=")[0] == "--list" for word in typed):
        return "--list"
    if "-l" not in typed:
        return ""
    names = tasks()
    before = itertools.takewhile(lambda word: word not in names, typed)
    return "-l" if "-l" in before else ""


def _take(arg: Any, typed: Sequence[str]) -> None:
    for flag in (f"--{arg.names[0]}", f"-{arg.names[1]}"):
        if text := value_of(flag, typed):
            form = Number(least=1) if arg.kind is int else FORMATS
            arg.set_value(form.parsed(f"--{arg.names[0]}", text))
