"""What a change says at its end: a line for each host, the whole, and how to undo it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from opstasks.core.errors import OpsError
from opstasks.core.result import FleetResult, HostResult
from opstasks.output.console import Console
from opstasks.output.parts import Line, Part, dim, to_type
from opstasks.output.progress import took_text
from opstasks.output.states import ending_part

T = TypeVar("T")


@dataclass(frozen=True)
class Told(Generic[T]):
    """What is said of a change.

    `host` is the new state of one host, as it was read there: ``v2.73.0, service up``. `whole` is
    the same for the number of hosts that changed: ``2 hosts at v2.73.0``. `undo` is the command
    that undoes the change on hosts, which are given as for -H; "" if there is none. `failed` gets
    an error and how long its host took: lines in place of the usual ones, none for the usual ones.
    """

    host: Callable[[T], str]
    whole: Callable[[int], str]
    undo: Callable[[str], str] = lambda hosts: ""
    failed: Callable[[OpsError, str], Sequence[Line]] = lambda error, took: ()


class Summary(Generic[T]):
    """Prints the end of a change, host by host."""

    def __init__(self, console: Console, hosts: Sequence[str], told: Told[T] | None) -> None:
        self._console, self._told = console, told
        self._numbers = {host: number for number, host in enumerate(hosts, 1)}
        self._begun_s = time.monotonic()

    def show(self, batch: FleetResult[T]) -> None:
        """Print a line for each host that is done, and its error."""
        if self._told is None or self._console.as_json:
            return
        for item in batch:
            if item.outcome != "not started" and not self._has_own_lines(item):
                self._console.say(*self._host_line(item))
        self._console.arrived(batch)

    def _has_own_lines(self, item: HostResult[T]) -> bool:
        """Print what the task says of an error; whether it says anything."""
        assert self._told is not None
        error = item.error
        lines = self._told.failed(error, took_text(item.elapsed_s)) if error else ()
        if error is None or not lines:
            return False
        self._console.note(f"{self._number(item.host)} {item.host}  ", *lines[0])
        for line in lines[1:]:
            self._console.note("      ", *line)
        error.is_shown = True
        return True

    def end(self, result: FleetResult[Any]) -> None:
        """Print what was done on all hosts together, and how to undo it."""
        changed = [item.host for item in result if item.outcome == "changed"]
        if self._told is None or not changed:
            return
        took = took_text(time.monotonic() - self._begun_s)
        undo = self._told.undo(",".join(changed))
        undone: list[Part] = ["  Undo: ", to_type(undo)] if undo else []
        self._console.say(f"{self._told.whole(len(changed))} in {took}.", *undone)

    def _number(self, host: str) -> str:
        return f"[{self._numbers[host]}/{len(self._numbers)}]"

    def _host_line(self, item: HostResult[T]) -> Line:
        assert self._told is not None
        number = self._number(item.host)
        text = self._told.host(item.value) if item.good and item.value is not None else ""
        took = dim(f"  {took_text(item.elapsed_s)}")
        return [
            f"{number} {item.host}  ",
            ending_part(item.outcome),
            f"  {text}" if text else "",
            took,
        ]
