"""Merge the records of the hosts and of the operator's own file, for each host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from opstasks.core.result import FleetResult, HostResult
from opstasks.history.read import BEGUN, HistoryFilter, HistoryRow, HostHistory

# These outcomes do not say how a run ended on the host.
UNCERTAIN = (BEGUN, "unknown", "interrupted")


def merge(journal_rows: Iterable[HistoryRow], local_rows: Iterable[HistoryRow]) -> list[HistoryRow]:
    """The rows of both for one host, each run once, oldest first.

    The operator's own row counts, with the time and the login that the host knows. If it does not
    say how the run ended, the end that the host recorded counts.
    """
    found = {row.run_id: row for row in journal_rows}
    for row in local_rows:
        other = found.get(row.run_id)
        found[row.run_id] = _joined(row, other) if other else row
    return sorted(found.values(), key=lambda row: (row.recorded_at, row.host))


def _joined(own: HistoryRow, other: HistoryRow) -> HistoryRow:
    ended = other if own.outcome in UNCERTAIN and other.outcome != BEGUN else own
    return replace(
        own,
        host=other.host,
        recorded_at=other.recorded_at,
        skew_s=other.skew_s,
        outcome=ended.outcome,
        detail=ended.detail,
        source="both",
        login=other.login,
        written_by=other.written_by,
    )


def newest(
    there: HostHistory | None, own: list[HistoryRow], wanted: HistoryFilter, limit: int
) -> HostHistory:
    """One host's newest `limit` runs (0: all) that match, from its journal and our own file."""
    found = merge(there.rows if there else [], own)
    kept = [row for row in found if wanted.keeps(row)]
    return HostHistory(kept[-limit:] if limit else kept, there.ignored if there else 0)


def with_own(
    journals: FleetResult[HostHistory],
    own: Mapping[str, list[HistoryRow]],
    wanted: HistoryFilter,
    limit: int,
) -> FleetResult[HostHistory]:
    """The same results; a host without an answer keeps its error, and gets the rows of our file."""
    return FleetResult(
        [
            item
            if item.value is not None
            else replace(item, value=newest(None, own.get(item.host, []), wanted, limit))
            for item in journals
        ]
    )


def only_own(
    own: Mapping[str, list[HistoryRow]], wanted: HistoryFilter, limit: int
) -> FleetResult[HostHistory]:
    """Only the operator's file, as a result with the hosts that it names."""
    return FleetResult(
        [HostResult(host, "ok", newest(None, own[host], wanted, limit)) for host in sorted(own)]
    )


def by_host(found: Iterable[HistoryRow]) -> dict[str, list[HistoryRow]]:
    """Rows by their host."""
    grouped: dict[str, list[HistoryRow]] = {}
    for row in found:
        grouped.setdefault(row.host, []).append(row)
    return grouped
