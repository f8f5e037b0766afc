"""Who did what when: the hosts' journals and the operator's own file, as one list."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet import audit
from opstasks.fleet.host import Host
from opstasks.primitives import journal

# With filters more must be read than will be shown; an entry has two lines, start and end.
READ = 20_000
_TEXTS = ("run_id", "host", "task", "phase", "who", "time", "outcome", "detail")


@dataclass(frozen=True)
class Row:
    """One run on one host; `begun` for one whose end nobody wrote down.

    `source` is host, local or both: where it is written.
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
class Filter:
    """What to show: globs for host, task and who (a part of a name is enough for the last two)."""

    host: str = ""
    task: str = ""
    who: str = ""
    since: datetime | None = None

    def keeps(self, row: Row) -> bool:
        """Whether a row is wanted."""
        return (
            _matches(row.host, self.host, part=False)
            and _matches(row.task, self.task, part=True)
            and _matches(row.who, self.who, part=True)
            and (self.since is None or (_time(row.time) or self.since) >= self.since)
        )

    @property
    def is_empty(self) -> bool:
        """Whether everything is wanted."""
        return self == Filter()


def _matches(text: str, wanted: str, *, part: bool) -> bool:
    if not wanted or fnmatch.fnmatchcase(text, wanted):
        return True
    return part and wanted in text


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# -- reading ---------------------------------------------------------------------------------


def read(host: Host, wanted: Filter, lines: int) -> list[Row]:
    """What a host's journal says, oldest first."""
    count = lines * 2 if wanted.is_empty else READ
    since = wanted.since.timestamp() if wanted.since else 0.0
    command = journal.own_lines(audit.IDENTIFIER, count, since)
    return rows(parse(host.root.output(command)), host.name, "host")


def read_local(path: Path) -> list[Row]:
    """What the operator's own file says, oldest first; nothing when there is none."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    return rows(parse(text), "", "local")


def parse(text: str) -> list[dict[str, Any]]:
    """Audit lines; anything else is left out, as everybody may write to a journal."""
    found = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and all(isinstance(entry.get(key, ""), str) for key in _TEXTS):
            found.append(entry)
    return found


def rows(entries: Iterable[dict[str, Any]], host: str, source: str) -> list[Row]:
    """One row for each run, from its start and its end; `host` "" takes the entry's own."""
    found: dict[tuple[str, str], Row] = {}
    for entry in entries:
        where = host or entry.get("host", "")
        key = (where, entry.get("run_id", ""))
        args = entry.get("args")
        ended = entry.get("phase") == "end"
        if key in found and not ended:
            continue
        found[key] = Row(
            time=entry.get("time", ""),
            host=where,
            who=entry.get("who", ""),
            task=entry.get("task", ""),
            outcome=entry.get("outcome", "") or "begun",
            detail=entry.get("detail", ""),
            args={str(k): str(v) for k, v in args.items()} if isinstance(args, dict) else {},
            run_id=entry.get("run_id", ""),
            source=source,
        )
    return list(found.values())


# -- merging ---------------------------------------------------------------------------------


def merge(journal_rows: Iterable[Row], local_rows: Iterable[Row]) -> list[Row]:
    """Both, each run once, by time; the end that either knows counts."""
    from dataclasses import replace

    found = {row.run_id: row for row in journal_rows}
    for row in local_rows:
        other = found.get(row.run_id)
        if other is None:
            found[row.run_id] = row
            continue
        better = row if other.outcome == "begun" else other
        found[row.run_id] = replace(better, host=other.host, source="both")
    return sorted(found.values(), key=lambda row: (row.time, row.host))


def combine(
    journals: FleetResult[list[Row]], local_rows: list[Row], wanted: Filter, lines: int
) -> FleetResult[list[Row]]:
    """The hosts' results with what only the operator's file knows; each host's newest `lines`."""
    mine: Mapping[str, list[Row]] = _by_host(local_rows)
    merged = []
    for item in journals:
        found = merge(item.value or [], mine.get(item.host, []))
        kept = [row for row in found if wanted.keeps(row)][-lines:]
        merged.append(HostResult(item.host, item.outcome, kept, item.error, item.elapsed_s))
    return FleetResult(merged)


def _by_host(found: Iterable[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = {}
    for row in found:
        grouped.setdefault(row.host, []).append(row)
    return grouped


def without_hosts(local_rows: list[Row], wanted: Filter, lines: int) -> FleetResult[list[Row]]:
    """The operator's file alone, as a result with the hosts that it names."""
    names = sorted({row.host for row in local_rows})
    empty: list[HostResult[list[Row]]] = [HostResult(name, "ok", []) for name in names]
    return combine(FleetResult(empty), local_rows, wanted, lines)
