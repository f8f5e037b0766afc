"""Merge the records of the hosts and of the operator's own file, for each host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from opstasks.core.formats import span_text
from opstasks.core.result import FleetResult, HostResult
from opstasks.history.read import BEGUN, HistoryFilter, HistoryRow, HostHistory

# A clock that is less than so many seconds off is not worth a note: lines take time to arrive.
SKEW_S = 10.0
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
    return sorted(found.values(), key=lambda row: (row.at, row.host))


def _joined(own: HistoryRow, other: HistoryRow) -> HistoryRow:
    ended = other if own.outcome in UNCERTAIN and other.outcome != BEGUN else own
    return replace(
        own,
        host=other.host,
        time=other.time,
        at=other.at,
        skew_s=other.skew_s,
        outcome=ended.outcome,
        detail=ended.detail,
        source="both",
        login=other.login,
        written_by=other.written_by,
    )


def combine(
    journals: FleetResult[HostHistory],
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
        found = merge(item.value.rows if item.value else [], own.get(item.host, []))
        kept = [row for row in found if wanted.keeps(row)][-lines:]
        merged.append(HostResult(item.host, item.outcome, kept, item.error, item.elapsed_s))
    return FleetResult(merged)


def ignored_texts(journals: FleetResult[HostHistory]) -> list[str]:
    """A note for each host with lines that do not count: how many there are."""
    return [
        f"{item.host}: {item.value.ignored} line(s) of the journal were ignored: other accounts"
        " wrote them, or they contradict an earlier line"
        for item in journals
        if item.value and item.value.ignored
    ]


def clock_texts(journals: FleetResult[HostHistory]) -> list[str]:
    """A note for each host whose clock differed from the clock of a person, for the last run."""
    texts = []
    for item in journals:
        apart = [row for row in item.value.rows if abs(row.skew_s) > SKEW_S] if item.value else []
        if apart:
            row = max(apart, key=lambda row: row.at)
            side = "ahead of" if row.skew_s > 0 else "behind"
            texts.append(
                f"{item.host}: at {row.time} its clock was {span_text(abs(row.skew_s))} {side} the"
                f" clock of {row.who or 'the client'}; the times here are those of the host"
            )
    return texts


def without_hosts(
    local_rows: list[HistoryRow], wanted: HistoryFilter, lines: int
) -> FleetResult[list[HistoryRow]]:
    """Only the operator's file, as a result with the hosts that it names."""
    names = sorted({row.host for row in local_rows})
    empty: list[HostResult[HostHistory]] = [HostResult(name, "ok") for name in names]
    return combine(FleetResult(empty), local_rows, wanted, lines)


def _by_host(found: Iterable[HistoryRow]) -> dict[str, list[HistoryRow]]:
    grouped: dict[str, list[HistoryRow]] = {}
    for row in found:
        grouped.setdefault(row.host, []).append(row)
    return grouped
