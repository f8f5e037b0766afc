"""The only code that prints.

Results go to standard output and all other messages to standard error, so that a pipe gets only
the result. With `--json` standard output is one JSON document.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opstasks.core import events
from opstasks.core.errors import OpsError
from opstasks.core.lines import clipped, lines_of
from opstasks.core.result import FleetResult, HostResult
from opstasks.output import alike, fit
from opstasks.output.escape import json_text, printable, printable_line

Row = Mapping[str, object]
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# The longest path of Linux. Each row is as wide as the widest cell of each column, so one long text
# of a host would make all rows long.
MOST_CELL = 4096
# Of the lines below an error: a host may send any number.
MOST_LINES = 200
COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


@dataclass(frozen=True)
class Painted:
    """Text in one of COLOURS, on a terminal. A plain string has no colour, whatever it contains."""

    text: str
    colour: str


Part = str | Painted


def traceback_lines(error: BaseException) -> list[str]:
    """The traceback of an error here and, for one of our programs, on the host."""
    import traceback

    lines: list[str] = []
    for link in _chain(error):
        lines += ["Traceback (most recent call last):"]
        for frame in traceback.format_tb(link.__traceback__):
            lines += lines_of(frame)
        # The text of an error may come from a host: it stays one line.
        lines.append(f"{type(link).__name__}: {link}")
        if there := getattr(link, "traceback", ""):
            lines.append(f"On {getattr(link, 'host', '')}:")
            lines += [f"  | {line}" for line in lines_of(there)]
    return lines


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those that led to it, the first cause first."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.insert(0, link)
        # As in Python, `from None` leaves out an error, because it may repeat a value.
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return found


class Console:
    """Where a run prints."""

    def __init__(self, *, as_json: bool = False, echo: bool = False) -> None:
        self.as_json = as_json
        self.echo = echo
        self._lock = threading.Lock()
        self._gone: set[Any] = set()
        self.is_cut_short = False
        for stream in (sys.stdout, sys.stderr):
            # A host may print characters that this terminal cannot show.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")

    # -- messages ----------------------------------------------------------------------------

    def say(self, *parts: Part) -> None:
        """One line of the result; left out with --json."""
        if not self.as_json:
            self._write([parts], sys.stdout)

    def note(self, *parts: Part) -> None:
        """One line that is not part of the result, on standard error."""
        self._write([parts], sys.stderr)

    def line(self, host: str, text: str, *, prefixed: bool) -> None:
        """One line of a host's own output."""
        self.lines(host, [text], prefixed=prefixed)

    def lines(self, host: str, texts: Sequence[str], *, prefixed: bool) -> None:
        """Lines of a host's own output, written together."""
        if texts:
            self._write([_of_host(host, text, prefixed) for text in texts], sys.stdout)

    def error_line(self, host: str, text: str, *, prefixed: bool) -> None:
        """One line of a host's own error output."""
        self._write([_of_host(host, text, prefixed)], sys.stderr)

    def observe(self, event: events.Event) -> None:
        """Show an event of a host or of a task."""
        if isinstance(event, events.StepReached):
            self.note(Painted(event.host, "dim"), f"  {event.text}")
        elif isinstance(event, events.CommandStarted) and self.echo:
            user = f" ({event.user})" if event.user else ""
            self.note(f"{event.host}{user}$ {event.line}")

    # -- results -----------------------------------------------------------------------------

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table for people; left out with --json."""
        self.say_table(table_text(headers, rows))

    def say_table(self, text: str) -> None:
        """A table as `table_text` made it, or a part of one; left out with --json."""
        if text and not self.as_json:
            self._write([[line] for line in text.split("\n")], sys.stdout)

    def arrived(self, batch: FleetResult[Any]) -> None:
        """Show the errors of hosts at once, also while others are still awaited."""
        if not self.as_json:
            self.problems(batch)

    def problems(self, result: FleetResult[Any]) -> None:
        """What went wrong, on standard error; no error is shown twice.

        Errors that say the same about several hosts are one.
        """
        new = [item.error for item in result if item.error and not item.error.is_shown]
        for group in alike.grouped(new):
            self._errors(group)
        never_begun = ("not started", "interrupted")
        skipped = [item.host for item in result if item.outcome in never_begun and not item.error]
        if skipped:
            self.note(f"not started: {', '.join(skipped)}")

    def error(self, error: OpsError) -> None:
        """One error: what, where, the last lines, and what to do next."""
        self._errors([error])

    def _errors(self, group: Sequence[OpsError]) -> None:
        """Errors that differ only in the host."""
        first = group[0]
        lines: list[Sequence[Part]] = [[Painted("error", "red"), f": {alike.shown_text(group)}"]]
        if first.command:
            lines.append([f"  command: {first.command[:300]}"])
        tail = lines_of(first.tail)
        lines += [[f"  | {line[:300]}"] for line in tail[:MOST_LINES]]
        if left := len(tail[MOST_LINES:]):
            lines.append([f"  … {left} more lines"])
        self._write(lines, sys.stderr)
        for error in group:
            error.is_shown = True

    def trace(self, error: BaseException) -> None:
        """The traceback of an error, for --debug."""
        self._write([[line] for line in traceback_lines(error)], sys.stderr)

    def document(self, value: object) -> None:
        """The JSON document of a `--json` run; in ASCII, which every terminal can show."""
        self._print(json_text(value, plain), sys.stdout)

    # -- helpers -----------------------------------------------------------------------------

    @property
    def reader_is_gone(self) -> bool:
        """Whether the reader of standard output closed the pipe, as `| head` does."""
        return sys.stdout in self._gone

    def _write(self, lines: Iterable[Sequence[Part]], stream: Any) -> None:
        """Print lines, with the colours of their parts on a terminal."""
        colours = stream.isatty()
        self._print("\n".join("".join(_shown(p, colours) for p in line) for line in lines), stream)

    def _print(self, text: str, stream: Any) -> None:
        """Print; a closed pipe never interrupts the work."""
        with self._lock:
            if stream in self._gone:
                return
            try:
                print(text, file=stream, flush=True)
                return
            except (OSError, ValueError) as error:
                self._gone.add(stream)
                full = unwritten(error)
                to_nowhere(stream)
        if full and stream is sys.stdout:
            self.is_cut_short = True
            self.error(full)


def unwritten(error: Exception) -> OpsError | None:
    """The error for a full disk; None when only the pipe was closed."""
    if not (isinstance(error, OSError) and error.errno in NO_ROOM):
        return None
    return OpsError(
        f"cannot write the result: {os.strerror(error.errno).lower()}",
        hint="free some space and run it again; changes already made stay",
    )


def to_nowhere(stream: Any) -> None:
    """Discard the rest of a broken stream; otherwise Python reports an error when it flushes."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def table_text(
    headers: Sequence[str], rows: Iterable[Sequence[object]], least: Sequence[int] = ()
) -> str:
    """A table as text, wrapped to fit into the window; "" without rows.

    No column becomes narrower than `least`.
    """
    cells = [[_cell_text(value) for value in row] for row in rows]
    if not cells:
        return ""
    from tabulate import tabulate

    columns = fit.window()
    # tabulate makes each column wider than its header, by MIN_PADDING (2).
    padded = [f"{header}--" for header in headers]
    widths = fit.widths([padded, *cells], columns, least) if columns else None
    heads = list(headers)
    if widths:
        # Not left to tabulate: no line may begin with the second line of a host's text.
        cells = [
            [fit.wrapped(text, widths[at], is_first=at == 0) for at, text in enumerate(row)]
            for row in cells
        ]
        heads = [fit.wrapped(h, w - 2, is_first=False) for h, w in zip(heads, widths, strict=True)]
    text = tabulate(
        cells,
        headers=heads,
        tablefmt="simple",
        # Ids may look like numbers (5e12, 007): they are shown unchanged.
        disable_numparse=True,
    )
    return text.replace(fit.FILLER, "")


def _cell_text(value: object) -> str:
    """What a table shows of a value: of a very long one, the beginning."""
    return fit.filled(clipped(printable(cell(value)), MOST_CELL))


def cell(value: object) -> str:
    """One table cell: nothing for None, yes and no for truth."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _shown(part: Part, colours: bool) -> str:
    """A part of a line; only our own colours can control the terminal."""
    if isinstance(part, str):
        return printable_line(part)
    text = printable(part.text)
    return f"\x1b[{COLOURS[part.colour]}m{text}\x1b[0m" if colours else text


def _of_host(host: str, text: str, prefixed: bool) -> Sequence[Part]:
    return [Painted(host, "dim"), " | ", text] if prefixed else [text]


def plain(value: object) -> object:
    """A JSON value for our own types: dataclasses, msgspec structs, sets."""
    from opstasks.core.state import HostState

    if isinstance(value, HostState):
        return value.told()
    fields = getattr(type(value), "__struct_fields__", None)
    if fields is not None:
        return {name: getattr(value, name) for name in fields}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def error_document(error: OpsError) -> dict[str, object]:
    """An error as JSON: message, host, command, the last lines and the hint."""
    fields = ("message", "host", "command", "tail", "hint", "outcome", "now")
    return {name: getattr(error, name) for name in fields if getattr(error, name)}


def fleet_document(result: FleetResult[Any]) -> dict[str, object]:
    """A fleet's result as JSON: exit code, and per host outcome, value and error."""

    def host(item: HostResult[Any]) -> dict[str, object]:
        shown: dict[str, object] = {"outcome": item.outcome}
        if item.value is not None:
            shown["value"] = item.value
        if item.error is not None:
            shown["error"] = error_document(item.error)
        return shown

    return {"exit_code": result.exit_code, "hosts": {item.host: host(item) for item in result}}
