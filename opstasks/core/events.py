"""What happens while a task runs, for the code that shows it.

Workflows and hosts emit events; only `opstasks.output` prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opstasks.core.command import Command


@dataclass(frozen=True)
class CommandStarted:
    """A command is about to run on a host (`--echo` shows these)."""

    host: str
    user: str
    command: Command

    @property
    def line(self) -> str:
        """The command line, without secrets."""
        return self.command.shown()


@dataclass(frozen=True)
class CommandFinished:
    """A command ended on a host."""

    host: str
    line: str
    code: int
    elapsed_s: float


@dataclass(frozen=True)
class StepReached:
    """A task reached a named step on a host."""

    host: str
    text: str


Event = CommandStarted | CommandFinished | StepReached
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The observer that shows nothing."""
