"""The journal: a unit's lines, and ours."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from opstasks.command import Argument, Command, cmd, pipe
from opstasks.errors import Refused
from opstasks.primitives import remote

_SINCE = re.compile(r"(\d+)(s|min|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?|today|yesterday")
# ISO time first, so that lines of many hosts sort by time; never a pager.
_FORMAT = ("--output=short-iso-precise", "--no-pager", "--utc", "--quiet")


def since(text: str) -> str:
    """A span (``90s``, ``2h``, ``1d``) or a date as journalctl wants it; raises Refused."""
    match = _SINCE.fullmatch(text)
    if match:
        unit = {"m": "min"}.get(match[2], match[2])
        return f"-{match[1]}{unit}"
    if _DATE.fullmatch(text):
        return text.replace("T", " ")
    raise Refused(f"{text!r} is no time", cure="try 90s, 30m, 2h, 1d or 2026-11-24 10:00")


def moment(text: str, now: datetime) -> datetime:
    """The same words as a moment, dates taken as UTC; raises Refused."""
    since(text)
    match = _SINCE.fullmatch(text)
    if match:
        return now - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
    days = {"today": 0, "yesterday": 1}
    if text in days:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=days[text])
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise Refused(f"{text!r} is no date", cure="try 2026-11-24 or 2026-11-24 10:00") from None


def unit_lines(
    unit: str, *, lines: int = 0, since_time: str = "", needle: str = "", follow: bool = False
) -> Command:
    """A unit's lines, oldest first; `lines` 0 means all.

    With `needle`, only records that hold it, literally; messages of several lines and tracebacks
    are whole (`remote_records.py`).
    """
    options: list[Argument] = [f"--unit={unit}", *_FORMAT]
    if since_time:
        options.append(f"--since={since(since_time)}")
    if follow:
        options.append("--follow")
    if not needle:
        if lines:
            options.append(f"--lines={lines}")
        return cmd("journalctl", *options).accepting(0, 1)
    if follow:
        options.append("--lines=all")
    script = remote.text(f"{__package__}.remote_records")
    # What it reads is the journal, so the script is an argument.
    records = cmd("python3", "-I", "-c", f"{script}\nmain(sys.argv[1])\n", needle)
    steps = [cmd("journalctl", *options), records]
    if lines and not follow:
        steps.append(cmd("tail", "-n", lines))
    return pipe(*steps)


def own_lines(identifier: str, lines: int, since_epoch: float = 0.0) -> Command:
    """The messages of an identifier, one a line: all since a moment, or else the newest `lines`."""
    return cmd(
        "journalctl",
        f"--identifier={identifier}",
        "--output=cat",
        "--no-pager",
        "--quiet",
        # Together, journalctl would count the lines from the moment on.
        f"--since=@{since_epoch:.0f}" if since_epoch else f"--lines={lines}",
    ).accepting(0, 1)
