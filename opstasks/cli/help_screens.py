"""The screens of `inv`, `--list` and `--help`, as wide as the window."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from opstasks.cli import help, overview
from opstasks.cli.catalogue import Catalogue
from opstasks.core import window
from opstasks.core.version import VERSION
from opstasks.output.escape import printable_line

# In a pipe, a task and its summary are one line.
UNLIMITED = 10_000


class HelpScreens:
    """Prints help; `program` is what the person typed: inv or opstasks."""

    def __init__(self, catalogue: Catalogue, program: str) -> None:
        self._catalogue, self._program = catalogue, program
        self._window = window.size()[0] if sys.stdout.isatty() else 0

    @property
    def _columns(self) -> int:
        return min(self._window or help.USUAL_WIDTH, help.MOST_WIDTH)

    def overview(self, inventory: str) -> None:
        """Every task once, by what it is for."""
        title = f"opstasks {VERSION}", overview.about_hosts(inventory)
        more = (
            f"({self._program} --list, {self._program} --help TASK, {self._program} --help flags)"
        )
        self._print(overview.lines(self._catalogue.changes, title, more, self._columns))

    def topic(self, name: str, core: Sequence[Any]) -> None:
        """The help of a task, of a group of tasks, or of the flags that work everywhere."""
        if name == "flags":
            self._print(help.row_lines(help.core_rows(core), self._columns))
        elif name in self._catalogue.shapes:
            known = self._catalogue
            found = help.task_help(known.names_of(name), known.context(name), known.task(name))
            self._print(help.task_lines(found, self._program, self._columns))
        else:
            self.group(name)

    def group(self, name: str) -> None:
        """The tasks of a group with what they do."""
        self._list(self._catalogue.groups[name], self._columns)
        self._print([f"({self._program} --help {self._catalogue.groups[name][0]})"])

    def list(self, group: str) -> None:
        """Each task with what it does, in the groups of the overview."""
        columns = self._columns if self._window else UNLIMITED
        if group:
            self._list(self._catalogue.groups[group], columns)
            return
        for title, names in overview.grouped(self._catalogue.changes).items():
            self._print([title])
            self._list(names, columns)

    def _list(self, names: Iterable[str], columns: int) -> None:
        found = self._catalogue.summaries(names)
        rows = [help.HelpRow(name, summary) for name, summary in found]
        self._print(help.row_lines(rows, columns, max(map(len, self._catalogue.changes))))

    def _print(self, lines: Iterable[str]) -> None:
        print("\n".join(map(printable_line, lines)))
