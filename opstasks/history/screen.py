"""The screen of `history`: one row for each run, of all hosts together, the newest last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from opstasks.core.clock import Clock
from opstasks.core.formats import first_names, plural, span_text
from opstasks.core.hints import unsecret
from opstasks.core.result import FleetResult, HostResult
from opstasks.history.merge import newest
from opstasks.history.read import BEGUN, HistoryFilter, HistoryRow, HostHistory
from opstasks.output.parts import Line, bold, dim, odd
from opstasks.output.screens import Screen
from opstasks.output.states import outcome_part
from opstasks.output.table import Column

# A clock that is less than so many seconds off is not worth a note: lines take time to arrive.
SKEW_S = 10.0
NAMED = 3
COLUMNS = (
    Column("WHEN"),
    Column("HOST"),
    Column("WHO", rank=1),
    Column("TASK", long="clip"),
    Column("OUTCOME"),
    Column("DETAIL", rank=2, long="clip", least=60),
    Column("LOGIN", rank=3),
)
# Of one host, each row would say the same.
WITHOUT_HOST = tuple(column for column in COLUMNS if column.title != "HOST")


@dataclass(frozen=True)
class HistoryQuestion:
    """What was asked for: the newest `limit` runs of each host (0: all) that match.

    `own` are the rows of the operator's own file, by host. `since` is as it was typed.
    `is_whole`: that file could be read.
    """

    wanted: HistoryFilter
    limit: int
    own: Mapping[str, list[HistoryRow]] = field(default_factory=dict)
    since: str = ""
    is_whole: bool = True

    def of(self, host: str, there: HostHistory | None) -> HostHistory:
        """The rows of a host; only our own without an answer of it."""
        return newest(there, self.own.get(host, []), self.wanted, self.limit)


@dataclass(frozen=True)
class HistoryScreen(Screen[HostHistory]):
    """The rows of all hosts by time, also our own ones about hosts that do not answer."""

    asked: HistoryQuestion = field(default_factory=lambda: HistoryQuestion(HistoryFilter(), 0))
    clock: Callable[[], Clock] = field(default=lambda: Clock(0.0))
    is_piped: bool = False

    def table_rows(self, batch: FleetResult[HostHistory]) -> list[Sequence[object]]:
        """The rows of the hosts of a batch, the newest last."""
        found = [row for item in batch for row in _rows(self.asked, item)]
        found.sort(key=lambda row: row.recorded_at)
        return [self._cells(row) for row in found]

    def ids_of(self, item: HostResult[HostHistory]) -> list[str]:
        """The ids of a host's runs, for -q."""
        return [row.run_id for row in _rows(self.asked, item)]

    def nothing_lines(self, result: FleetResult[HostHistory]) -> list[Line]:
        """What was looked for, also if no host was asked."""
        text = nothing(self.asked, list(result.values))
        return [[text]] if text else []

    def _cells(self, row: HistoryRow) -> Sequence[object]:
        outcome = odd(BEGUN) if row.outcome == BEGUN else outcome_part(row.outcome)
        what = " ".join([row.task, *arguments(row.args)])
        when = self.when(row.recorded_at)
        host = [row.host] if self.columns is COLUMNS else []
        return [when, *host, row.who, what, outcome, row.detail, row.login]

    def when(self, at: float) -> str:
        """A moment; in a pipe whole, and in UTC."""
        return self.clock().iso(at) if self.is_piped else self.clock().text(at)


def history_screen(
    asked: HistoryQuestion, clock: Callable[[], Clock], host: str = "", *, is_piped: bool = False
) -> HistoryScreen:
    """The screen for what was asked for; `host` if it is about one host only."""

    def headline(result: FleetResult[HostHistory]) -> Line:
        count = sum(len(_rows(asked, item)) for item in result)
        where = f"{plural(count, 'change')} on {host or plural(len(result.results), 'host')}"
        is_shown = count and not is_piped
        return [bold(clock().now_text), f"  {where}, newest last"] if is_shown else []

    def closing(result: FleetResult[HostHistory]) -> list[Line]:
        is_full = any(len(_rows(asked, item)) == asked.limit for item in result)
        text = f"the newest {asked.limit} of each host; --limit 0 shows all"
        return [[dim(text)]] if asked.limit and is_full and not is_piped else []

    return HistoryScreen(
        WITHOUT_HOST if host and not is_piped else COLUMNS,
        rows=lambda host, value: (),
        headline=headline,
        closing=closing,
        ids=lambda value: [row.run_id for row in value.rows],
        asked=asked,
        clock=clock,
        is_piped=is_piped,
    )


def _rows(asked: HistoryQuestion, item: HostResult[HostHistory]) -> list[HistoryRow]:
    """The rows of a host; our own ones without an answer of it."""
    return (item.value or asked.of(item.host, None)).rows


def arguments(args: Mapping[str, str]) -> list[str]:
    """What a task was given, in the order of the record: ``v2.71.0 -> v2.73.0``, ``why=x``."""
    moved = [f"{args['from']} -> {args['to']}"] if {"from", "to"} <= set(args) else []
    rest = {name: value for name, value in args.items() if not moved or name not in ("from", "to")}
    return [*moved, *(f"{name}={value}" for name, value in rest.items() if value)]


def nothing(asked: HistoryQuestion, hosts: Sequence[str]) -> str:
    """What was looked for, when no run matches; "" if a part of the record could not be read."""
    if not asked.is_whole:
        return ""
    wanted = asked.wanted
    words = [
        f" of {unsecret(wanted.task)}" if wanted.task else "",
        f" by {unsecret(wanted.who)}" if wanted.who else "",
        f" since {asked.since}" if asked.since else "",
        f" on {unsecret(wanted.host)}" if wanted.host else "",
        " is recorded",
        f" on {first_names(hosts, NAMED)}" if hosts else " in your own record",
    ]
    return f"no change{''.join(words)}"


# -- notes -------------------------------------------------------------------------------------


def notes(journals: FleetResult[HostHistory], screen: HistoryScreen) -> Iterable[str]:
    """Lines that do not count, and clocks that were wrong, for each host."""
    yield from ignored_texts(journals)
    yield from clock_texts(journals, screen)


def ignored_texts(journals: FleetResult[HostHistory]) -> list[str]:
    """A note for each host with lines that do not count: how many there are."""
    return [
        f"{item.host}: {plural(item.value.ignored, 'line')} of the journal ignored: other accounts"
        " wrote them, they cannot be read, or they contradict an earlier line"
        for item in journals
        if item.value and item.value.ignored
    ]


def clock_texts(journals: FleetResult[HostHistory], screen: HistoryScreen) -> list[str]:
    """A note for each host whose clock differed from the clock of a person, for the last run."""
    texts = []
    for item in journals:
        apart = [row for row in item.value.rows if abs(row.skew_s) > SKEW_S] if item.value else []
        if apart:
            row = max(apart, key=lambda row: row.recorded_at)
            side = "ahead of" if row.skew_s > 0 else "behind"
            texts.append(
                f"{item.host}: at {screen.when(row.recorded_at)} its clock was"
                f" {span_text(abs(row.skew_s))} {side} the clock of {row.who or 'the client'};"
                " the times here are those of the host"
            )
    return texts
