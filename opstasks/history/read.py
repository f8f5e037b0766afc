"""Read who did what and when, from a host's journal or the operator's own file.

Every account may write to a journal: `opstasks.history.onhost.read` says which lines count. Lines
that are not audit entries are left out.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opstasks.core.errors import OpsError
from opstasks.core.fields import Count, Line, Moment, Text
from opstasks.core.hints import one_word
from opstasks.fleet import audit, private_files
from opstasks.fleet.audit import AuditEntry
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program

# With filters, we must read more entries than we show.
READ_LINES = 20_000
# How much of the operator's own file is read.
LOCAL_BYTES = 64 << 20
# The outcome of a run without a recorded end.
BEGUN = "begun"
_LINE = msgspec.json.Decoder(AuditEntry)


class HistoryRequest(msgspec.Struct, frozen=True):
    """The newest `lines` of an identifier since a moment (seconds since the epoch; 0: any)."""

    identifier: str
    service_user: str
    lines: int
    since_at: float


class JournalEntry(msgspec.Struct, frozen=True):
    """A line of the journal: its text, its writer, the SSH login, and when the host got it.

    `at` is 0 in the operator's own file, which only has the time that is in the text.
    """

    text: Text
    by: Line = ""
    login: Line = ""
    at: Moment = 0.0


class HistoryAnswer(msgspec.Struct, frozen=True):
    """The lines that count, and how many lines of other accounts do not."""

    entries: tuple[JournalEntry, ...]
    ignored: Count = 0


READ = Program("opstasks.history.onhost.read", HistoryRequest, HistoryAnswer)


@dataclass(frozen=True)
class HistoryRow:
    """One run on one host; its outcome is "begun" when it has no recorded end.

    `recorded_at` is when its last line was recorded, in seconds since the epoch; `source` says
    where it is recorded: host, local or both. `who` is what the client said about itself; `args`
    are in the order in which the task recorded them. For a row of a host, `recorded_at` is by the
    clock of the host, `skew_s` is how many seconds that clock was ahead of the clock of `who`,
    `login` is the account of the SSH login, and `written_by` the account that wrote the line there.
    """

    recorded_at: float
    host: str
    who: str
    task: str
    outcome: str
    detail: str = ""
    args: dict[str, str] = field(default_factory=dict)
    run_id: str = ""
    source: str = "host"
    login: str = ""
    written_by: str = ""
    skew_s: float = 0.0


@dataclass(frozen=True)
class HostHistory:
    """What a host has recorded, oldest first.

    `ignored` is the number of lines that do not count: those of other accounts, second ends of a
    run, and entries that this version cannot read.
    """

    rows: list[HistoryRow]
    ignored: int = 0


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
            and (self.since is None or row.recorded_at >= self.since.timestamp())
        )

    @property
    def is_empty(self) -> bool:
        """Whether every row matches."""
        return self == HistoryFilter()


def _matches(text: str, wanted: str, *, part: bool) -> bool:
    if not wanted or fnmatch.fnmatchcase(text, wanted):
        return True
    return part and wanted in text


def read(host: Host, wanted: HistoryFilter, limit: int) -> HostHistory:
    """The record of a host's journal, for its newest `limit` runs (0: all)."""
    # A run has two lines, its start and its end.
    count = min(limit * 2, READ_LINES) if limit and wanted.is_empty else READ_LINES
    since_at = wanted.since.timestamp() if wanted.since else 0.0
    request = HistoryRequest(audit.IDENTIFIER, host.spec.service_user, count, since_at)
    answer = host.root.call(READ, request)
    found = rows(answer.entries, host.name, "host")
    return HostHistory(found.rows, found.ignored + answer.ignored)


def read_local(path: Path) -> list[HistoryRow]:
    """The rows of the operator's own file, oldest first; without a file, none.

    Raises OSError or ValueError when the file cannot be read.
    """
    try:
        text = private_files.read_own(path, LOCAL_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return rows([JournalEntry(line) for line in text.split("\n")], "", "local").rows


def own_rows(path: Path) -> tuple[list[HistoryRow], OpsError | None]:
    """The rows of the operator's own file, and the error if it cannot be read."""
    try:
        return read_local(path), None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    except ValueError as error:
        why = str(error)
    text = f"your own record {path} cannot be read: {why}"
    hint = f"make {one_word(path)} a readable file of your own, or move it away"
    return [], OpsError(text, hint=hint)


def rows(lines: Iterable[JournalEntry], host: str, source: str) -> HostHistory:
    """One row for each run, from its start and its end; `host` "" means the entry's own host.

    Only the first start and the first end of a run count, and only with the same writer: later
    ones may be false.
    """
    found: dict[tuple[str, str], HistoryRow] = {}
    ignored = 0
    for line in lines:
        entry = _entry(line.text)
        if entry is None:
            ignored += line.text.startswith("{")  # others are texts for people
            continue
        row = _row(entry, line, host or entry.host, source)
        key = (row.host, row.run_id)
        known = found.setdefault(key, row)
        if known is row:
            continue
        if known.outcome == BEGUN and _writer(known) == _writer(row):
            found[key] = row if entry.phase == "end" else known
        else:
            ignored += 1
    return HostHistory(list(found.values()), ignored)


def _writer(row: HistoryRow) -> tuple[str, ...]:
    """What the start and the end of a run have in common."""
    return (row.written_by, row.who, row.task)


def _row(entry: AuditEntry, line: JournalEntry, host: str, source: str) -> HistoryRow:
    told = datetime.fromisoformat(entry.time).timestamp()
    at = line.at or told
    return HistoryRow(
        recorded_at=at,
        host=host,
        who=entry.who,
        task=entry.task,
        outcome=(entry.outcome or "ok") if entry.phase == "end" else BEGUN,
        detail=entry.detail,
        args=entry.args,
        run_id=entry.run_id,
        source=source,
        login=line.login,
        written_by=line.by,
        skew_s=round(at - told, 1),
    )


def _entry(line: str) -> AuditEntry | None:
    """The entry in a line, with its time in UTC; None when the line is not an entry."""
    try:
        entry = _LINE.decode(line.encode("utf-8", "surrogateescape"))
        moment = datetime.fromisoformat(entry.time)
        # A time without a zone is UTC.
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return None
    return msgspec.structs.replace(entry, time=moment.isoformat(timespec="milliseconds"))
