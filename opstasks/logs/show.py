"""How records of the log look: one line for each where possible, the time first.

On a terminal, a message that is too long is continued below itself, and the frames of a traceback
are folded. In a pipe, each record is one whole line.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from opstasks.core.clock import Clock
from opstasks.core.formats import first_names, plural
from opstasks.core.lines import clipped
from opstasks.logs.read import WantedLog
from opstasks.logs.records import TRACEBACK, LogRecord
from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted, Part, bad, bold, dim

# ``23:46:12 ! ``: the sign marks an error.
TIME_WIDTH, MARK_WIDTH = 8, 3
# job-runner's ids have 16 letters.
JOB_WIDTH = 16
GAP = "  "
# With less room than this for a message, it begins in the column of the job.
LEAST_MESSAGE = 45
# An id that leaves less room than this is cut.
LEAST_BESIDE_ID = 8
# Of a traceback, only this many frames are shown.
FRAMES = 1
# The most characters of one line of a message; --raw and a pipe show all of them.
MOST_LINE = 4000
NAMED = 3
_CLASS = re.compile(r"\b(?:ExecutorState|StatusCode)\.(?=[A-Z])")
_COMMIT = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28}\b")


@dataclass(frozen=True)
class LogLayout:
    """How wide a window is (0: a pipe), and how wide the column of hosts (0: no column).

    `wide`: no frame of a traceback is folded.
    """

    width: int
    host_width: int
    clock: Clock
    wide: bool = False

    @classmethod
    def of(cls, hosts: Sequence[str], width: int, clock: Clock, *, wide: bool = False) -> LogLayout:
        """The layout for these hosts; one host needs no column."""
        host_width = max(map(len, hosts)) if len(hosts) > 1 else 0
        return cls(width, host_width, clock, wide)


class LogView:
    """Makes lines of records; remembers the day of the last one."""

    def __init__(self, layout: LogLayout) -> None:
        self._layout = layout
        self._day = layout.clock.day(layout.clock.now_at)

    def lines(self, host: str, record: LogRecord) -> list[Line]:
        """The lines of the next record; before it, the day if it is a new one."""
        if not self._layout.width:
            return [_piped(host, record, self._layout)]
        day = self._layout.clock.day(record.logged_at) or self._day
        start: list[Line] = [[bold(day)]] if day != self._day else []
        self._day = day
        return [*start, *_shown(host, record, self._layout)]


def _piped(host: str, record: LogRecord, layout: LogLayout) -> Line:
    """A record in one line, with everything that a search may look for."""
    clock = layout.clock
    time = clock.iso(record.logged_at) or "-"
    found = [time, host] if layout.host_width else [time]
    job = f"{record.workspace}/{record.action}" if record.workspace else ""
    found += [record.job or "-", *([job] if job else [])]
    return [GAP.join([*found, f"{'! ' if record.is_error else ''}{record.message}"])]


def _time(clock: Clock, at: float) -> str:
    """The time of day alone: the day has a line of its own."""
    return replace(clock, now_at=at).text(at, with_seconds=True) if at else ""


def _shown(host: str, record: LogRecord, layout: LogLayout) -> list[Line]:
    host_part = f"{host.ljust(layout.host_width)}{GAP}" if layout.host_width else ""
    start = TIME_WIDTH + MARK_WIDTH + len(host_part)
    longest = max(JOB_WIDTH, layout.width - start - LEAST_BESIDE_ID - len(GAP))
    job = _bare(fit.shortened(fit.filled(printable(record.job or "")), longest))
    has_column = layout.width - start - JOB_WIDTH - len(GAP) >= LEAST_MESSAGE
    job_part = f"{job.ljust(JOB_WIDTH if has_column else 0)}{GAP}" if job else ""
    if has_column:
        job_part = job_part or " " * (JOB_WIDTH + len(GAP))
    first = start + len(fit.filled(job_part))
    start += JOB_WIDTH + len(GAP) if has_column else 0
    mark = bad(" ! ") if record.is_error and not record.is_rest else " " * MARK_WIDTH
    time = "" if record.is_rest else _time(layout.clock, record.logged_at)
    head: list[Part] = [dim(time.ljust(TIME_WIDTH)), mark, dim(host_part), job_part]
    found: list[Line] = []
    for text, paint in _texts(record, layout):
        begin = start if found else first
        for piece, indent in _wrapped(text, begin, start, layout.width):
            lead = head if not found else [" " * indent]
            found.append([*lead, Painted(piece, paint) if paint else piece])
    return found


def _texts(record: LogRecord, layout: LogLayout) -> list[tuple[str, str]]:
    """The lines of a message, each with its colour."""
    paint = "red" if record.is_error else ""
    found: list[tuple[str, str]] = []
    is_after_traceback = False
    for is_frame, lines in groupby(_short(record).split("\n"), lambda line: line[:1] == " "):
        if is_frame and is_after_traceback:
            texts = _folded(list(lines), wide=layout.wide)
            found += [(_line(text), "dim") for text in texts]
            continue
        texts = list(lines)
        found += [(_line(text), paint) for text in texts]
        is_after_traceback = texts[-1] == TRACEBACK
    return found


def _line(text: str) -> str:
    """A line of a message without anything that controls the terminal, and not endless."""
    return printable(clipped(text, MOST_LINE))


def _folded(frames: list[str], *, wide: bool) -> list[str]:
    """The last frame, and how many others there are."""
    begins = [n for n, line in enumerate(frames) if line.startswith('  File "')]
    left = len(begins) - FRAMES
    if wide or left <= 1:
        return frames
    return [f"  … {left} frames (--wide shows them)", *frames[begins[-FRAMES] :]]


def _short(record: LogRecord) -> str:
    """A message without what another column says, names of Python's classes and long commits."""
    message = record.message
    if record.job:
        message = message.replace(f"State change for job {record.job}: ", "State change: ", 1)
    return _COMMIT.sub(r"\1…", _CLASS.sub("", message))


def _wrapped(text: str, first: int, start: int, width: int) -> list[tuple[str, int]]:
    """A text in pieces that fit, each with its indent; a long path is kept whole if it can be."""
    room = max(1, width - start)
    text = fit.filled(text)
    if len(text) <= width - first:
        return [(_bare(text), first)]
    wrapper = textwrap.TextWrapper(
        room,
        initial_indent=" " * (first - start),
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = wrapper.wrap(text) or [""]
    lines[0] = lines[0][first - start :]
    if len(lines[0]) > width - first:
        lines[:1] = fit.wrapped(lines[0], width - first)
    found: list[tuple[str, int]] = []
    for line in lines:
        if len(line) <= room:
            found.append((_bare(line), start))
        else:
            indent = max(0, width - len(line))
            found += [(_bare(piece), indent) for piece in fit.wrapped(line, width)]
    return found


def _bare(text: str) -> str:
    return text.replace(fit.FILLER, "")


# -- around the records ------------------------------------------------------------------------


def headline(
    wanted: WantedLog, hosts: Sequence[str], layout: LogLayout, *, follow: bool
) -> list[Line]:
    """What follows, and in which order: ``tpp: last 100 lines, newest last, times in UTC``."""
    count = f"last {plural(wanted.lines, 'line')}" if wanted.lines else "all lines"
    where = hosts[0] if len(hosts) == 1 else plural(len(hosts), "host")
    end = "; Ctrl-C ends" if follow else ""
    zone = layout.clock.zone_name
    text = f"{where}: {count}{_limits(wanted)}, newest last, times in {zone}{end}"
    return [[dim(piece)] for piece in fit.paragraph(text, layout.width)]


def nothing(wanted: WantedLog, hosts: Sequence[str]) -> str:
    """What was looked for, when there is no line."""
    more = "; an earlier --since shows more" if wanted.since else ""
    return f"no log line{_limits(wanted)} on {first_names(hosts, NAMED)}{more}"


def _limits(wanted: WantedLog) -> str:
    job = f" of job {wanted.job}" if wanted.job else ""
    since = f" since {wanted.since}" if wanted.since else ""
    return job + since
