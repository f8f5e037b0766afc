"""The only code that prints.

Results go to standard output and all other messages to standard error, so that a pipe gets only
the result. With `--json` standard output is one JSON document.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import json
import os
import re
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opstasks.core import events
from opstasks.core.errors import OpsError
from opstasks.core.result import FleetResult, HostResult
from opstasks.output import fit

Row = Mapping[str, object]
_SUSPECT = re.compile(r"[^\n\t\x20-\x7e]")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}
_OURS = re.compile(rf"(\x1b\[(?:0|{'|'.join(COLOURS.values())})m)")


def traceback_text(error: BaseException) -> str:
    """The traceback of an error here and, for one of our programs, on the host."""
    import traceback

    lines = "".join(traceback.format_exception(error)).splitlines()
    link: BaseException | None = error
    while link is not None:
        if there := getattr(link, "traceback", ""):
            lines += ["", f"On {getattr(link, 'host', '')}:", *there.splitlines()]
        link = link.__cause__ or link.__context__
    return "\n".join(printable(line) for line in lines)


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

    def say(self, text: str = "") -> None:
        """Part of the result; left out with --json."""
        if not self.as_json:
            self._write(text, sys.stdout)

    def note(self, text: str) -> None:
        """A message that is not part of the result, on standard error."""
        self._write(text, sys.stderr)

    def line(self, host: str, text: str, *, prefixed: bool) -> None:
        """One line of a host's own output."""
        self.lines(host, [text], prefixed=prefixed)

    def lines(self, host: str, texts: Sequence[str], *, prefixed: bool) -> None:
        """Lines of a host's own output, written together."""
        start = f"{self.paint(host, 'dim')} | " if prefixed else ""
        if texts:
            self._write("\n".join(start + printable(text) for text in texts), sys.stdout)

    def error_line(self, host: str, text: str, *, prefixed: bool) -> None:
        """One line of a host's own error output."""
        start = f"{self.paint(host, 'dim', sys.stderr)} | " if prefixed else ""
        self.note(start + printable(text))

    def observe(self, event: events.Event) -> None:
        """Show an event of a host or of a task."""
        if isinstance(event, events.StepReached):
            self.note(f"{self.paint(event.host, 'dim', sys.stderr)}  {printable(event.text)}")
        elif isinstance(event, events.CommandStarted) and self.echo:
            user = f" ({event.user})" if event.user else ""
            self.note(f"{event.host}{user}$ {printable(event.line)}")

    # -- results -----------------------------------------------------------------------------

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table for people; left out with --json."""
        self.say_table(table_text(headers, rows))

    def say_table(self, text: str) -> None:
        """A table as `table_text` made it, or a part of one; left out with --json."""
        if text and not self.as_json:
            self._write(text, sys.stdout)

    def arrived(self, batch: FleetResult[Any]) -> None:
        """Show the errors of hosts at once, also while others are still awaited."""
        if not self.as_json:
            self.problems(batch)

    def problems(self, result: FleetResult[Any]) -> None:
        """What went wrong, host by host, on standard error; no error is shown twice."""
        for item in result:
            if item.error is not None and not item.error.is_shown:
                self.error(item.error)
        never_begun = ("not started", "interrupted")
        skipped = [item.host for item in result if item.outcome in never_begun and not item.error]
        if skipped:
            self.note(f"not started: {', '.join(skipped)}")

    def error(self, error: OpsError) -> None:
        """One error: what, where, the last lines, and what to do next."""
        text = self.paint("error", "red", sys.stderr) + f": {printable(str(error))}"
        if error.command:
            text += f"\n  command: {printable(error.command)[:300]}"
        for line in error.tail.splitlines():
            text += f"\n  | {printable(line)[:300]}"
        self.note(text)
        error.is_shown = True

    def document(self, value: object) -> None:
        """The JSON document of a `--json` run; in ASCII, which every terminal can show."""
        self._write(json.dumps(value, default=plain), sys.stdout)

    # -- helpers -----------------------------------------------------------------------------

    def paint(self, text: str, colour: str, stream: Any = None) -> str:
        """Text in a colour on a terminal, plain elsewhere."""
        if not (stream or sys.stdout).isatty():
            return text
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"

    @property
    def reader_is_gone(self) -> bool:
        """Whether the reader of standard output closed the pipe, as `| head` does."""
        return sys.stdout in self._gone

    def _write(self, text: str, stream: Any) -> None:
        """Print; a closed pipe never interrupts the work."""
        with self._lock:
            if stream in self._gone:
                return
            try:
                print(sayable(text), file=stream, flush=True)
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


def table_text(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as text, wrapped to fit into the window; "" without rows."""
    cells = [[printable(cell(value)) for value in row] for row in rows]
    if not cells:
        return ""
    from tabulate import tabulate

    columns = fit.window()
    # tabulate makes each column wider than its header, by MIN_PADDING (2).
    padded = [f"{header}--" for header in headers]
    widths = fit.widths([padded, *cells], columns) if columns else None
    return tabulate(
        cells,
        headers=headers,
        tablefmt="simple",
        # Ids may look like numbers (5e12, 007): they are shown unchanged.
        disable_numparse=True,
        maxcolwidths=widths,
        maxheadercolwidths=widths,
        break_long_words=False,
        break_on_hyphens=False,
    )


def cell(value: object) -> str:
    """One table cell: nothing for None, yes and no for truth."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def printable(text: str) -> str:
    """Text from a host, with control characters escaped, as they could control a terminal."""
    if text.isprintable():
        return text
    # Only characters beyond plain ASCII are checked one by one: logs can have 200 MB.
    return _SUSPECT.sub(lambda m: m[0] if m[0].isprintable() else f"\\x{ord(m[0]):02x}", text)


def sayable(text: str) -> str:
    """Like `printable`, for our own text, which may contain our colours."""
    return "".join(part if _OURS.fullmatch(part) else printable(part) for part in _OURS.split(text))


def plain(value: object) -> object:
    """A JSON value for our own types: dataclasses, msgspec structs, sets."""
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
    fields = ("message", "host", "command", "tail", "hint", "outcome")
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
