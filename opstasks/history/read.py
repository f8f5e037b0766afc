"""Read who did what and when, from a host's journal or the operator's own file.

Anyone may write to a journal: lines that are not audit entries are left out.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opstasks.fleet import audit
from opstasks.fleet.audit import AuditEntry
from opstasks.fleet.host import Host
from opstasks.primitives import journal

# With filters, we must read more entries than we show.
READ_LINES = 20_000
# The outcome of a run without a recorded end.
BEGUN = "begun"
_LINE = msgspec.json.Decoder(AuditEntry)


@dataclass(frozen=True)
class HistoryRow:
    """One run on one host; its outcome is "begun" when it has no recorded end.

    `time` is ISO 8601 in UTC; `source` says where it is recorded: host, local or both.
    """

    time: str
    host: str
    who: str
    task: str
    outcome: str
    detail: str = ""
    args: dict[str, str] = field(default_factory=dict)
    run_id: str = ""
    source: str = "host"


@dataclass(frozen=True)
class HistoryFilter:
    """Globs for host, task and who (part of a name is enough for the last two), and a time."""

    host: str = ""
    task: str = ""
    who: str = ""
    since: datetime | None = None

    def keeps(self, row: HistoryRow) -> bool:
        """Whether a row matches."""
        return (
            _matches(row.host, self.host, part=False)
            and _matches(row.task, self.task, part=True)
            and _matches(row.who, self.who, part=True)
            and (self.since is None or datetime.fromisoformat(row.time) >= self.since)
        )

    @property
    def is_empty(self) -> bool:
        """Whether every row matches."""
        return self == HistoryFilter()


def _matches(text: str, wanted: str, *, part: bool) -> bool:
    if not wanted or fnmatch.fnmatchcase(text, wanted):
        return True
    return part and wanted in text


def read(host: Host, wanted: HistoryFilter, lines: int) -> list[HistoryRow]:
    """The rows of a host's journal, oldest first."""
    # A run has two lines, its start and its end.
    count = lines * 2 if wanted.is_empty else READ_LINES
    since_at = wanted.since.timestamp() if wanted.since else 0.0
    text = host.root.output(journal.own_lines(audit.IDENTIFIER, count, since_at))
    return rows(parse(text), host.name, "host")


def read_local(path: Path) -> list[HistoryRow]:
    """The rows of the operator's own file, oldest first; empty when it cannot be read."""
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except OSError:
        return []
    return rows(parse(text), "", "local")


def parse(text: str) -> list[AuditEntry]:
    """The audit entries of a text, one per line; other lines are left out."""
    found = []
    for line in text.split("\n"):
        entry = _entry(line)
        if entry is not None:
            found.append(entry)
    return found


def _entry(line: str) -> AuditEntry | None:
    """The entry in a line, with its time in UTC; None when the line is not an entry."""
    try:
        entry = _LINE.decode(line.encode("utf-8", "surrogateescape"))
        moment = datetime.fromisoformat(entry.time)
        # A time without a zone is UTC.
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return None
    return msgspec.structs.replace(entry, time=moment.isoformat(timespec="seconds"))


def rows(entries: Iterable[AuditEntry], host: str, source: str) -> list[HistoryRow]:
    """One row for each run, from its start and its end; `host` "" means the entry's own host."""
    found: dict[tuple[str, str], HistoryRow] = {}
    for entry in entries:
        where = host or entry.host
        key = (where, entry.run_id)
        if key in found and entry.phase != "end":
            continue
        found[key] = HistoryRow(
            time=entry.time,
            host=where,
            who=entry.who,
            task=entry.task,
            outcome=entry.outcome or BEGUN,
            detail=entry.detail,
            args=entry.args,
            run_id=entry.run_id,
            source=source,
        )
    return list(found.values())
