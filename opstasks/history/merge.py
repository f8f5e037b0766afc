"""Merge the records of the hosts and of the operator's own file, for each host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from opstasks.core.result import FleetResult, HostResult
from opstasks.history.read import BEGUN, HistoryFilter, HistoryRow


def merge(journal_rows: Iterable[HistoryRow], local_rows: Iterable[HistoryRow]) -> list[HistoryRow]:
    """The rows of both for one host, each run once, oldest first.

    If only one of them has the end of a run, its row is used.
    """
    found = {row.run_id: row for row in journal_rows}
    for row in local_rows:
        other = found.get(row.run_id)
        if other is None:
            found[row.run_id] = row
            continue
        better = row if other.outcome == BEGUN else other
        found[row.run_id] = replace(better, host=other.host, source="both")
    return sorted(found.values(), key=lambda row: (row.time, row.host))


def combine(
    journals: FleetResult[list[HistoryRow]],
    local_rows: list[HistoryRow],
    wanted: HistoryFilter,
    lines: int,
) -> FleetResult[list[HistoryRow]]:
    """The hosts' results and the rows of the operator's file; each host's newest `lines`.

    A host that failed keeps its error, and gets the rows of the operator's file.
    """
    own = _by_host(local_rows)
    merged = []
    for item in journals:
        found = merge(item.value or [], own.get(item.host, []))
        kept = [row for row in found if wanted.keeps(row)][-lines:]
        merged.append(HostResult(item.host, item.outcome, kept, item.error, item.elapsed_s))
    return FleetResult(merged)


def without_hosts(
    local_rows: list[HistoryRow], wanted: HistoryFilter, lines: int
) -> FleetResult[list[HistoryRow]]:
    """Only the operator's file, as a result with the hosts that it names."""
    names = sorted({row.host for row in local_rows})
    empty: list[HostResult[list[HistoryRow]]] = [HostResult(name, "ok", []) for name in names]
    return combine(FleetResult(empty), local_rows, wanted, lines)


def _by_host(found: Iterable[HistoryRow]) -> dict[str, list[HistoryRow]]:
    grouped: dict[str, list[HistoryRow]] = {}
    for row in found:
        grouped.setdefault(row.host, []).append(row)
    return grouped
