"""The only code that prints.

Results go to standard output and all other messages to standard error, so that a pipe gets only
the result. With `--json` standard output is one JSON document, with `-q` one id on each line.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from opstasks.core import events
from opstasks.core.errors import OpsError
from opstasks.core.result import FleetResult
from opstasks.output import colour, documents, failures, fit, paragraphs, region, table
from opstasks.output.escape import json_text, printable, printable_line
from opstasks.output.parts import COLOURS, Line, Part, dim
from opstasks.output.progress import Progress, step_line
from opstasks.output.table import Column

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# How often the lines at the bottom of the terminal are drawn.
TICK_S = 0.25


class Console:
    """Where a run prints.

    `wide`: tables leave nothing out. `ids_only`: of the result, only ids are printed. `fields`: of
    the values in a document, only these.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        echo: bool = False,
        no_color: bool = False,
        wide: bool = False,
        ids_only: bool = False,
        fields: Sequence[str] = (),
    ) -> None:
        self.as_json = as_json
        self.echo = echo
        self.wide = wide
        self.ids_only = ids_only
        self.fields = tuple(fields)
        self._no_color = no_color
        self._lock = threading.RLock()
        self._gone: set[Any] = set()
        self.is_cut_short = False
        for stream in (sys.stdout, sys.stderr):
            # A host may print characters that this terminal cannot show.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        # Whether lines at the bottom of the terminal can be replaced.
        self.is_live = colour.can_rewrite(sys.stdout, sys.stderr)
        self._progress = Progress()
        self._region = region.Region(sys.stderr, lambda: self._size()[0])
        self._holds = 0
        # What ended while nothing could be drawn.
        self._held_back: list[Line] = []
        self._ticker: threading.Thread | None = None
        self._is_closed = threading.Event()
        self._first_step_s: dict[str, float] = {}

    # -- messages ----------------------------------------------------------------------------

    @property
    def is_quiet(self) -> bool:
        """Whether the result is for a program: a document, or ids."""
        return self.as_json or self.ids_only

    def say(self, *parts: Part) -> None:
        """One line of the result; left out with --json and -q."""
        self.say_lines([parts])

    def say_lines(self, lines: Iterable[Line]) -> None:
        """Lines of the result, written together; left out with --json and -q."""
        lines = list(lines)
        if lines and not self.is_quiet:
            self._end_steps()
            self._write(paragraphs.folded(lines, self.window), sys.stdout)

    def beside(self, lines: Iterable[Line]) -> None:
        """Lines about the rows of a table; in a pipe on standard error: a program reads rows."""
        lines = list(lines)
        if self.window:
            self.say_lines(lines)
        elif lines and not self.is_quiet:
            self._end_steps()
            self._write(paragraphs.folded(lines, self._error_window()), sys.stderr)

    def ids(self, values: Iterable[str]) -> None:
        """The ids of the result, one per line, with -q; else nothing."""
        found = [[value] for value in values]
        if found and self.ids_only and not self.as_json:
            self._write(found, sys.stdout)

    def note(self, *parts: Part) -> None:
        """One line that is not part of the result, on standard error."""
        self._write(paragraphs.folded([parts], self._error_window()), sys.stderr)

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

    # -- progress ----------------------------------------------------------------------------

    def observe(self, event: events.Event) -> None:
        """Show an event of a host or of a task."""
        now_s = time.monotonic()
        if isinstance(event, events.CommandStarted | events.CommandsEnded):
            self._take_command(event, now_s)
        elif self.is_live:
            self._follow(event, now_s)
        elif isinstance(event, events.StepReached):
            since_s = now_s - self._first_step_s.setdefault(event.host, now_s)
            with self._lock:
                self._held_back.append(step_line(event, since_s))
                self._flush()

    def _take_command(
        self, event: events.CommandStarted | events.CommandsEnded, now_s: float
    ) -> None:
        """Show a command with --echo; a host that takes long is shown by the ticker."""
        if self.echo and isinstance(event, events.CommandStarted):
            user = f" ({event.user})" if event.user else ""
            self.note(f"{event.host}{user}$ {event.line}")
        if self.is_live:
            with self._lock:
                # Drawn by the ticker only: there are many commands, and most are short.
                self._progress.command(event, now_s)
                self._keep_ticking()

    def _follow(self, event: events.Event, now_s: float) -> None:
        """Keep the lines at the bottom of the terminal up to date."""
        with self._lock:
            self._held_back += self._over(event, now_s)
            self._draw()
            self._keep_ticking()

    def _keep_ticking(self) -> None:
        if not self._progress.is_idle and self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()

    def _over(self, event: events.Event, now_s: float) -> list[Line]:
        """Take an event; returns the lines of the steps that are over."""
        if isinstance(event, events.HostsAwaited):
            return self._progress.awaiting(event, now_s, self.window)
        if isinstance(event, events.HostBegun):
            self._progress.begin(event, now_s)
        elif isinstance(event, events.StepReached):
            return self._progress.step(event, now_s, self.window)
        elif isinstance(event, events.StepUpdated):
            self._progress.update(event)
        elif isinstance(event, events.HostEnded):
            return self._progress.end(event.host, now_s, self.window)
        return []

    def _end_steps(self) -> None:
        """The result of the task is next: what was done for it is over."""
        with self._lock:
            if self._progress.is_between_hosts:
                self._held_back += self._progress.end_all(time.monotonic(), self.window)
                self._draw()

    def preview(self, make: Callable[[int], list[Line]]) -> None:
        """Rows to show while other hosts are awaited; the whole result replaces them.

        `make` gets the number of lines that can be shown at most.
        """
        if self.is_live:
            with self._lock:
                self._progress.preview = make

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While inside, nothing is drawn at the bottom: a person types, or a program draws."""
        with self._lock:
            self._holds += 1
            self._region.erase()
        try:
            yield
        finally:
            with self._lock:
                self._holds -= 1
                self._draw()

    def close(self) -> None:
        """Remove the lines at the bottom; what was going on is over."""
        self._is_closed.set()
        with self._lock:
            self._held_back += self._progress.end_all(time.monotonic(), self.window)
            self._draw()
            self._holds += 1
            self._region.erase()

    def _tick(self) -> None:
        while not self._is_closed.wait(TICK_S):
            with self._lock:
                self._draw()
                if self._progress.is_idle:
                    self._ticker = None
                    return

    def _draw(self) -> None:
        self._flush()
        if not self.is_live or self._holds or sys.stderr in self._gone:
            return
        columns, rows = self._size()
        # The last column stays free: some terminals move on when it is filled.
        lines = self._progress.lines(time.monotonic(), columns - 1, rows - 1)
        colours = self._has_colours(sys.stderr)
        self._region.show([_text(region.clipped(line, columns - 1), colours) for line in lines])

    def _flush(self) -> None:
        """Print what is over, unless a person types now."""
        if self._held_back and not self._holds:
            over, self._held_back = self._held_back, []
            self._write(paragraphs.folded(over, self._error_window()), sys.stderr)

    def _size(self) -> tuple[int, int]:
        from opstasks.core.window import size_of

        return size_of(sys.stderr)

    # -- results -----------------------------------------------------------------------------

    @property
    def window(self) -> int:
        """The width of the terminal for results; 0 for a pipe."""
        return fit.window()

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
        """A table for people; left out with --json."""
        self.say_lines(table.draw(columns, rows, self.window, wide=self.wide).with_hint())

    def arrived(self, batch: FleetResult[Any]) -> None:
        """Show the errors of hosts at once, also while others are still awaited."""
        if not self.as_json:
            self.problems(batch)

    def problems(self, result: FleetResult[Any]) -> None:
        """What went wrong, on standard error; no error is shown twice.

        Errors that say the same about several hosts are one.
        """
        found = [*(item.error for item in result), result.error]
        for group in failures.grouped(error for error in found if error and not error.is_shown):
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
        self._write(failures.lines(group, self._error_window()), sys.stderr)
        for error in group:
            error.is_shown = True

    def _error_window(self) -> int:
        return self._size()[0] if sys.stderr.isatty() else 0

    def trace(self, error: BaseException) -> None:
        """The traceback of an error, for --debug."""
        from opstasks.output.tracebacks import traceback_lines

        self._write([[line] for line in traceback_lines(error)], sys.stderr)

    def document(self, value: object) -> None:
        """The JSON document of a `--json` run; in ASCII, which every terminal can show."""
        self._print(json_text(value, documents.plain), sys.stdout)

    # -- helpers -----------------------------------------------------------------------------

    @property
    def reader_is_gone(self) -> bool:
        """Whether the reader of standard output closed the pipe, as `| head` does."""
        return sys.stdout in self._gone

    def text(self, line: Line) -> str:
        """A line as it is written to standard output, for a program that draws by itself."""
        return _text(line, self._has_colours(sys.stdout))

    def _has_colours(self, stream: Any) -> bool:
        return colour.has_colours(stream, no_color=self._no_color)

    def _write(self, lines: Iterable[Line], stream: Any) -> None:
        """Print lines, with the colours of their parts on a terminal."""
        colours = self._has_colours(stream)
        self._print("\n".join(_text(line, colours) for line in lines), stream)

    def _print(self, text: str, stream: Any) -> None:
        """Print; a closed pipe never interrupts the work."""
        with self._lock:
            if stream in self._gone:
                return
            try:
                self._region.erase()
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


def _text(line: Line, colours: bool) -> str:
    """A line; only our own colours can control the terminal."""
    return "".join(_shown(part, colours) for part in line)


def _shown(part: Part, colours: bool) -> str:
    if isinstance(part, str):
        return printable_line(part)
    text = printable(part.text)
    return f"\x1b[{COLOURS[part.colour]}m{text}\x1b[0m" if colours else text


def _of_host(host: str, text: str, prefixed: bool) -> Line:
    return [dim(host), " | ", text] if prefixed else [text]
