"""Lines of the service's journal as records: what was said, about which job, and how bad it is.

job-runner writes each message with its own time, the name of a thread and tags; journalctl writes
time, host and process before each line. A message of several lines, or with a traceback, is one
record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

# Time, host, program and process, then the message, as in `opstasks.onhost.journal_records`.
_LINE = re.compile(r"(?P<time>\S+) \S+ (?P<source>\S+): (?P<message>.*)", re.DOTALL)
# job-runner's own time, and the thread: "run ", "sync", "stat" or "mntn".
_OWN = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\S* +(?:(?:run|sync|stat|mntn) +)?")
_TAGS = ("status", "workspace", "action", "id", "req")
# Its lines are whole records, in words of its own: "code=exited, status=1/FAILURE".
_SYSTEMD = "systemd["
_BAD = re.compile(r"\b(?:error|exception|failed|failure|fatal|critical)\b", re.IGNORECASE)
TRACEBACK = "Traceback (most recent call last):"
# The lines of one message are written together.
TOGETHER_S = 1.0


@dataclass(frozen=True)
class LogRecord:
    """One record; `logged_at` is in seconds since the epoch, 0 if the line has no time.

    `job`, `workspace`, `action` and `status` are job-runner's tags; None without them. `message`
    may have several lines. `is_rest`: the beginning is missing.
    """

    logged_at: float
    job: str | None
    workspace: str | None
    action: str | None
    status: str | None
    is_error: bool
    message: str
    is_rest: bool = False


class Grouper:
    """Makes records of lines, which may arrive in pieces."""

    def __init__(self) -> None:
        self._source = ""
        self._at = 0.0
        self._lines: list[str] = []
        self._is_rest = True
        self._begun_at = 0.0

    def feed(self, line: str) -> LogRecord | None:
        """Take a line; returns the record that it ends, if any."""
        match = _LINE.fullmatch(line)
        if match is None:
            self._lines.append(line)
            return None
        at, source, message = _seconds(match["time"]), match["source"], match["message"]
        own = _OWN.match(message)
        done = None
        if own or not self._continues(source, at):
            done = self.flush()
            self._begun_at, self._is_rest = at, not own and message[:1].isspace()
        self._source, self._at = source, at
        self._lines.append(message[own.end() :] if own else message)
        return done

    def _continues(self, source: str, at: float) -> bool:
        """Whether a message without a time of its own belongs to the record before it."""
        is_same = source == self._source and at - self._at < TOGETHER_S
        return is_same and not source.startswith(_SYSTEMD)

    def flush(self) -> LogRecord | None:
        """The record so far, if any; the lines that follow it may be its rest."""
        if not self._lines:
            return None
        tags = () if self._source.startswith(_SYSTEMD) else _TAGS
        made = _record(self._begun_at, self._lines, tags, is_rest=self._is_rest)
        self._lines, self._is_rest = [], True
        return made


def records(lines: Iterable[str]) -> Iterator[LogRecord]:
    """The records in lines, oldest first."""
    grouper = Grouper()
    for line in lines:
        if (done := grouper.feed(line)) is not None:
            yield done
    if (last := grouper.flush()) is not None:
        yield last


def _record(at: float, lines: list[str], names: Sequence[str], *, is_rest: bool) -> LogRecord:
    """A record; `names` are those of the tags that a line may end with."""
    tags: dict[str, str] = {}
    texts = [_without_tags(line.rstrip(), names, tags) for line in lines]
    message = "\n".join(texts)
    return LogRecord(
        logged_at=at,
        job=tags.get("id"),
        workspace=tags.get("workspace"),
        action=tags.get("action"),
        status=_status(tags.get("status")),
        is_error=TRACEBACK in texts or bool(_BAD.search(message)),
        message=message,
        is_rest=is_rest,
    )


def _without_tags(line: str, names: Sequence[str], tags: dict[str, str]) -> str:
    """A line without the tags at its end, which are added to `tags`."""
    for _ in names:
        before, _, word = line.rpartition(" ")
        name, is_tag, value = word.partition("=")
        if not is_tag or name not in names:
            break
        line, tags[name] = before, value
    return line


def _status(text: str | None) -> str | None:
    """``StatusCode.NONZERO_EXIT`` as job-runner's database has it: ``nonzero_exit``."""
    return text.removeprefix("StatusCode.").lower() if text else None


def _seconds(text: str) -> float:
    """The time of a line; 0 when it is not one."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
