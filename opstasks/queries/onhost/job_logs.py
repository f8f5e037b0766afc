"""Runs on the host: find statements in Docker's log of a job."""

import calendar
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

from opstasks.onhost.limits import moment

# Statements can be very large: about this many characters of each are kept.
SQL_LENGTH = 200_000

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z ?(.*)", re.DOTALL)
# The start of a record: a date with or without brackets, a level in brackets, or both.
DATE = r"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[^\s\]]*(?: UTC)?\]?\s*"
LEVEL = r"\[(?:debug|info|warning|warn|error|critical|exception)\s*\]\s*"
RECORD = re.compile(rf"(?:{DATE}(?:{LEVEL})?|{LEVEL})", re.IGNORECASE)
STATEMENT = re.compile(
    r"(?:SQL:|Running: |"
    r"(?:\s*(?:--[^\n]*\n\s*)*(?:INSERT|SELECT|CREATE|DROP|UPDATE|DELETE|TRUNCATE|WITH|MERGE|EXEC"
    r"|BEGIN|ALTER|DECLARE|SET)\b))"
)


def last_statement(lines: Iterable[str]) -> dict[str, Any] | None:
    """The last statement: its start, and the time of the next record (0: there is none)."""
    found: dict[str, Any] | None = None
    for at, text in records(lines):
        if STATEMENT.match(text, 0, SQL_LENGTH):
            found = {"began_at": at, "ended_at": 0.0, "sql": text.removeprefix("SQL:").strip()}
        elif found and not found["ended_at"]:
            found["ended_at"] = at
    return found


def records(lines: Iterable[str]) -> Iterator[tuple[float, str]]:
    """Log records, each with the time of its first line in seconds since the epoch."""
    record_at, text = 0.0, ""
    for line in lines:
        match = STAMP.match(line.rstrip("\r\n"))
        line_at = seconds(match[1], match[2]) if match else 0.0
        if not match or not line_at:
            continue
        rest = ANSI.sub("", match[3])
        begins = RECORD.match(rest)
        if begins or not record_at:
            if record_at:
                yield record_at, text
            record_at, text = line_at, rest[begins.end() if begins else 0 :]
        elif len(text) < SQL_LENGTH:
            text += "\n" + rest
    if record_at:
        yield record_at, text


def seconds(whole: str, fraction: str | None) -> float:
    """Docker's time in seconds since the epoch; 0 for an invalid date."""
    try:
        parsed = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return 0.0
    return moment(calendar.timegm(parsed) + float(fraction or 0))
