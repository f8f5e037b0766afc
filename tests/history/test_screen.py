"""The screen of `history`: at any width, in a pipe, and without a match."""

import pytest

from opstasks.core.clock import Clock
from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.history.read import HistoryFilter, HistoryRow, HostHistory
from opstasks.history.screen import HistoryQuestion, arguments, history_screen, nothing
from opstasks.output.parts import text_of_line
from tests.screen_check import check_golden, text

# 2026-11-24 12:00 UTC
NOW = 1795521600.0
FAILED = "v2.73.0 was not deployed: OperationalError: database or disk is full"


def row(minutes_ago, task, outcome="changed", host="tpp", **over):
    over = {"who": "alice@laptop", "run_id": f"{minutes_ago}", **over}
    return HistoryRow(NOW - 60 * minutes_ago, host, task=task, outcome=outcome, **over)


TPP = [
    row(2000, "service.restart", login="alice"),
    row(90, "deploy", "failed", detail=FAILED, args={"from": "v2.71.0", "to": "v2.73.0"}),
    row(61, "deploy", args={"from": "v2.71.0", "to": "v2.73.0", "ref": "main"}, login="alice"),
    row(5, "pause", args={"why": "database upgrade", "for": "2h"}, login="alice"),
]
OWN = {"emis": [row(70, "run", "begun", host="emis", args={"program": "uptime"}, source="local")]}
ASKED = HistoryQuestion(HistoryFilter(), 20, OWN)
RESULT = FleetResult(
    [
        HostResult("tpp", "ok", HostHistory(TPP)),
        HostResult("emis", "unreachable", error=Unreachable("no answer")),
    ]
)


def screen(asked=ASKED, **how):
    return history_screen(asked, lambda: Clock(NOW), **how)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_screen_is_as_drawn(width):
    check_golden(__file__, f"history-{width}", screen().lines(RESULT, width))


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_no_line_is_wider_than_the_window_with_long_values(width):
    long = [
        row(1, "scheduled.cancel", "interrupted", who="a" * 30, detail="x " * 300, login="b" * 32),
        row(3, "outputs.rm", args={"path": "/srv/" + "y" * 500}),
    ]
    shown = screen().lines(FleetResult([HostResult("tpp", "ok", HostHistory(long))]), width)
    assert all(len(text_of_line(line)) <= width for line in shown)
    assert "scheduled.cancel" in text(shown)


@pytest.mark.parametrize("width", [60, 80])
def test_the_screen_of_one_host_needs_no_column_for_it(width):
    shown = screen(host="tpp").lines(FleetResult(RESULT.results[:1]), width)
    check_golden(__file__, f"one-host-{width}", shown)


def test_in_a_pipe_nothing_is_cut_and_each_row_has_its_day():
    shown = text(screen(is_piped=True).lines(RESULT, 0))
    assert FAILED in shown
    assert "2026-11-24T10:59:00Z  tpp   alice@laptop  deploy v2.71.0 -> v2.73.0 ref=main" in shown


def test_rows_of_all_hosts_are_in_the_order_of_time_also_without_an_answer():
    tasks = [cells[3].split()[0] for cells in screen().table_rows(RESULT)]
    assert tasks == ["service.restart", "deploy", "run", "deploy", "pause"]


def test_the_ids_are_those_of_the_runs():
    rows = [row(1, "deploy", run_id="one"), row(2, "pause", run_id="two")]
    assert list(screen().ids(HostHistory(rows))) == ["one", "two"]


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        ({}, []),
        ({"why": "x", "for": ""}, ["why=x"]),
        ({"ref": "main", "to": "b", "from": "a"}, ["a -> b", "ref=main"]),
        ({"to": "b"}, ["to=b"]),
    ],
)
def test_a_move_between_releases_comes_first(args, shown):
    assert arguments(args) == shown


def test_no_match_says_what_was_looked_for():
    wanted = HistoryFilter(task="deploy", who="alice")
    assert nothing(HistoryQuestion(wanted, 20, since="7d"), ["tpp"]) == (
        "no change of deploy by alice since 7d is recorded on tpp"
    )
    empty = FleetResult([HostResult("tpp", "ok", HostHistory([]))])
    assert "no change is recorded on tpp\n" in text(
        screen(HistoryQuestion(HistoryFilter(), 20)).lines(empty, 80)
    )
    assert (
        nothing(HistoryQuestion(HistoryFilter(), 0), [])
        == "no change is recorded in your own record"
    )


def test_nothing_is_said_of_a_record_that_could_not_be_read():
    asked = HistoryQuestion(HistoryFilter(), 20, is_whole=False)
    empty = FleetResult([HostResult("tpp", "ok", HostHistory([]))])
    assert nothing(asked, []) == nothing(asked, ["tpp"]) == ""
    assert "no change" not in text(screen(asked).lines(empty, 80))


def test_rows_that_are_left_out_are_announced():
    asked = HistoryQuestion(HistoryFilter(), 2, {"tpp": TPP})
    result = FleetResult([HostResult("tpp", "ok", asked.of("tpp", None))])
    shown = text(screen(asked).lines(result, 80))
    assert shown.rstrip().endswith("the newest 2 of each host; --limit 0 shows all")
    assert "newest 20" not in text(screen().lines(RESULT, 80))
