"""The journal: a unit's lines, and ours."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from opstasks.core import durations
from opstasks.core.command import Command, cmd, pipe
from opstasks.core.fields import Text
from opstasks.fleet.program import Program

# ISO time first, so that lines of many hosts sort by time; never a pager.
_FORMAT = ("--output=short-iso-precise", "--no-pager", "--utc", "--quiet")
# How many bytes of a log may be collected before it is shown.
MAX_LOG_BYTES = 256 << 20


class JournalRequest(msgspec.Struct, frozen=True):
    """Which records to find: options of journalctl, the word, the newest `lines` (0: all).

    With `follow`, every line is sent as a part as soon as it is found; this never ends.
    """

    options: tuple[str, ...]
    word: str
    lines: int = 0
    follow: bool = False


class JournalAnswer(msgspec.Struct, frozen=True):
    """The lines of the records, oldest first; none with `follow`."""

    lines: tuple[Text, ...]


RECORDS = Program(
    "opstasks.onhost.journal_records",
    JournalRequest,
    JournalAnswer,
    part=Text,
    max_bytes=MAX_LOG_BYTES,
)


def since(text: str) -> str:
    """A span (``90s``, ``1h30m``) or a date as journalctl wants it; raises Refused.

    A span counts back from the host's present time. A date is in UTC, like the lines, in every time
    zone of a host.
    """
    if durations.is_span(text):
        return f"-{durations.parse(text)}s"
    return f"@{max(0.0, durations.moment(text, datetime.now(UTC)).timestamp()):.0f}"


def unit_lines(unit: str, *, lines: int = 0, since_time: str = "", follow: bool = False) -> Command:
    """A unit's newest `lines`, oldest first; `lines` 0 means all."""
    options = [f"--unit={unit}", *_FORMAT]
    if since_time:
        options.append(f"--since={since(since_time)}")
    # With --since, --lines would give the oldest lines. So the lines are counted afterwards.
    is_counted_here = bool(since_time or not lines)
    if follow:
        options += ["--follow", *(["--lines=all"] if is_counted_here else [])]
    if not is_counted_here:
        options.append(f"--lines={lines}")
    command = cmd("journalctl", *options)
    if is_counted_here and lines and not follow:
        command = pipe(command, cmd("tail", "-n", lines))
    return command.accepting(0, 1)


def unit_records(
    unit: str,
    word: str,
    *,
    lines: int = 0,
    since_time: str = "",
    until_at: float = 0.0,
    follow: bool = False,
) -> JournalRequest:
    """Ask `RECORDS` for a unit's records that contain a word, literally.

    Messages of several lines and tracebacks are whole. `until_at` is the last moment, in seconds
    since the epoch; 0 for none.
    """
    options = [f"--unit={unit}", *_FORMAT]
    if since_time:
        options.append(f"--since={since(since_time)}")
    if until_at:
        options.append(f"--until=@{until_at:.0f}")
    if follow:
        options += ["--follow", "--lines=all"]
    return JournalRequest(tuple(options), word, lines, follow)
