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
class CommandsEnded:
    """The commands that were started on a host have ended, well or not."""

    host: str


@dataclass(frozen=True)
class StepReached:
    """A task reached a named step on a host.

    `brief` is a word or two for the step once it is over ("stopped", "snapshot"); `lasts_s` is how
    long the step takes, where that is known before. `ago_s`: the step began so long ago, for steps
    that are read from a record of the host.
    """

    host: str
    text: str
    brief: str = ""
    lasts_s: float = 0.0
    ago_s: float = 0.0


@dataclass(frozen=True)
class StepUpdated:
    """The step that a host is in has a new text, such as the share that is done.

    It replaces the step's text in place, and `brief` the step's word or two, if it is given.
    """

    host: str
    text: str
    brief: str = ""


@dataclass(frozen=True)
class HostsAwaited:
    """Hosts are being read: all of them, and those that have not answered; the last event has none.

    A host that is not awaited any more has answered or failed.
    """

    hosts: tuple[str, ...]
    awaited: tuple[str, ...]


@dataclass(frozen=True)
class HostBegun:
    """The change of a host begins: the host is number `number` of `count`, from 1."""

    host: str
    number: int
    count: int


@dataclass(frozen=True)
class HostEnded:
    """The change of a host has ended, well or not."""

    host: str


Event = (
    CommandStarted
    | CommandsEnded
    | StepReached
    | StepUpdated
    | HostsAwaited
    | HostBegun
    | HostEnded
)
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The observer that shows nothing."""
