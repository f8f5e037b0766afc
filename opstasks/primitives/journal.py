"""The journal: a unit's lines, and ours."""

from __future__ import annotations

from datetime import UTC, datetime

from opstasks.core import durations
from opstasks.core.command import Argument, Command, cmd, pipe
from opstasks.fleet import old_program as remote

# ISO time first, so that lines of many hosts sort by time; never a pager.
_FORMAT = ("--output=short-iso-precise", "--no-pager", "--utc", "--quiet")


def since(text: str) -> str:
    """A span (``90s``, ``1h30m``) or a date as journalctl wants it; raises Refused.

    A span counts back by the host's clock. A date is UTC, as the lines are, whatever time zone
    the host has.
    """
    if durations.is_span(text):
        return f"-{durations.parse(text)}s"
    return f"@{max(0.0, durations.moment(text, datetime.now(UTC)).timestamp()):.0f}"


def unit_lines(
    unit: str,
    *,
    lines: int = 0,
    since_time: str = "",
    until_s: float = 0.0,
    needle: str = "",
    follow: bool = False,
) -> Command:
    """A unit's newest `lines`, oldest first; `lines` 0 means all.

    `until_s` is the last moment, in seconds since the epoch; 0 for none.

    With `needle`, only records that hold it, literally; messages of several lines and tracebacks
    are whole (`remote_records.py`).
    """
    options: list[Argument] = [f"--unit={unit}", *_FORMAT]
    if since_time:
        options.append(f"--since={since(since_time)}")
    if until_s:
        options.append(f"--until=@{until_s:.0f}")
    # What is filtered afterwards is counted afterwards, and from a moment on journalctl would
    # show the oldest lines.
    counted_here = bool(since_time or needle or not lines)
    if follow:
        options += ["--follow", *(["--lines=all"] if counted_here else [])]
    if not counted_here:
        options.append(f"--lines={lines}")
    steps = [cmd("journalctl", *options)]
    if needle:
        script = remote.text("opstasks.onhost.records")
        # What it reads is the journal, so the script is an argument.
        steps.append(cmd("python3", "-I", "-c", f"{script}\nmain(sys.argv[1])\n", needle))
    if counted_here and lines and not follow:
        steps.append(cmd("tail", "-n", lines))
    command = pipe(*steps) if len(steps) > 1 else steps[0]
    return command if needle else command.accepting(0, 1)


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
