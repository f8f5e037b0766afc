"""Errors that a task raises about what was typed for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from opstasks.core.errors import Refused

if TYPE_CHECKING:
    from opstasks.cli.task import OpsTask


@contextlib.contextmanager
def flags_named(name: str, task: OpsTask) -> Iterator[None]:
    """An error about a flag of a task begins with the task, as those of the parser do.

    What begins so is wrong usage: the help of the task is the next command, if there is no better.
    """
    try:
        yield
    except Refused as error:
        flag = error.message.partition(" ")[0].rstrip(":")
        if not error.host and flag.startswith("--") and flag[2:] in task.flag_names:
            error.message = f"{name}: {error.message}"
        if not error.host and error.message.startswith(f"{name}: "):
            error.hint = error.hint or f"inv --help {name}"
        raise
