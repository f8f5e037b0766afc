"""history: journals and the operator's own file as one list, whatever stands in them."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.history import history
from opstasks.history.history import Filter, Row
from opstasks.primitives import journal


def entry(run_id, phase="end", **over):
    words = {
        "run_id": run_id,
        "host": "tpp",
        "task": "deploy",
        "phase": phase,
        "who": "alice@laptop",
        "time": "2026-11-24T10:00:00+00:00",
        **({"outcome": "changed"} if phase == "end" else {}),
    }
    return json.dumps({**words, **over})


def read(*lines, host="tpp", source="host"):
    return history.rows(history.parse("\n".join(lines)), host, source)


def test_a_run_is_one_row_with_its_end():
    (row,) = read(entry("1", "start"), entry("1"))
    assert (row.outcome, row.task, row.host) == ("changed", "deploy", "tpp")


def test_a_run_without_an_end_has_begun():
    (row,) = read(entry("1", "start", args={"ref": "main"}))
    assert (row.outcome, row.args) == ("begun", {"ref": "main"})


@given(st.lists(st.one_of(st.text(), st.just(entry("1")), st.from_type(dict).map(repr))))
def test_what_anybody_writes_into_the_journal_is_no_traceback(lines):
    assert all(isinstance(row, Row) for row in read(*lines))


@pytest.mark.parametrize("line", ["[]", "null", "1", '{"who": 1}', '{"time": null}', "{", "x"])
def test_lines_that_are_no_entries_are_left_out(line):
    assert read(line, entry("1")) == read(entry("1"))


def test_both_sources_make_one_row_and_the_end_that_either_knows_counts():
    there = read(entry("1", "start"), entry("2"))
    here = read(entry("1"), entry("3"), host="", source="local")
    rows = {row.run_id: row for row in history.merge(there, here)}
    assert {key: (row.outcome, row.source) for key, row in rows.items()} == {
        "1": ("changed", "both"),
        "2": ("changed", "host"),
        "3": ("changed", "local"),
    }


def test_a_host_that_is_away_still_shows_what_the_operator_did_there():
    away = Unreachable("no answer")
    result = FleetResult([HostResult("tpp", "unreachable", error=away), HostResult("emis", "ok")])
    local = read(entry("1"), entry("2", host="emis"), host="", source="local")
    combined = history.combine(result, local, Filter(), 20)
    assert [row.run_id for row in combined.results[0].value] == ["1"]
    assert combined.exit_code == 3


def test_hosts_that_were_not_asked_for_are_left_out():
    local = read(entry("1"), entry("2", host="emis"), host="", source="local")
    combined = history.combine(FleetResult([HostResult("emis", "ok", [])]), local, Filter(), 20)
    assert [row.run_id for item in combined for row in item.value] == ["2"]
    alone = history.without_hosts(local, Filter(), 20)
    assert [item.host for item in alone] == ["emis", "tpp"]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (Filter(), True),
        (Filter(host="tp?"), True),
        (Filter(host="tp"), False),
        (Filter(task="dep"), True),
        (Filter(task="outputs.*"), False),
        (Filter(who="alice"), True),
        (Filter(who="bob"), False),
        (Filter(since=datetime(2026, 11, 24, 9, tzinfo=UTC)), True),
        (Filter(since=datetime(2026, 11, 24, 11, tzinfo=UTC)), False),
    ],
)
def test_filters(wanted, kept):
    (row,) = read(entry("1"))
    assert wanted.keeps(row) is kept


def test_the_newest_of_what_is_wanted_are_kept():
    lines = [
        entry(str(n), task="a" if n % 2 else "b", time=f"2026-11-24T10:00:{n:02}+00:00")
        for n in range(20)
    ]
    result = FleetResult([HostResult("tpp", "ok", read(*lines))])
    (item,) = history.combine(result, [], Filter(task="a"), 3)
    assert [row.run_id for row in item.value] == ["15", "17", "19"]


def test_a_date_is_utc_whatever_time_zone_the_host_has():
    assert journal.since("2026-11-24 10:00") == "@1795514400"
    assert journal.since("1h30m") == "-5400s"


def test_the_newest_lines_since_a_moment_are_counted_after_journalctl():
    line = journal.unit_lines("jobrunner", lines=5, since_time="1h").line()
    assert line.endswith("--since=-3600s | tail -n 5")
    assert "--lines" not in line


@pytest.mark.parametrize("options", [{"lines": 5, "since_time": "1h"}, {}])
def test_following_from_a_moment_or_with_all_lines_leaves_none_out(options):
    line = journal.unit_lines("jobrunner", follow=True, **options).line()
    assert "--follow --lines=all" in line
    assert "tail" not in line


def test_lines_are_not_counted_from_a_moment_on():
    assert "--lines=40" in journal.own_lines("opstasks", 40).args
    words = journal.own_lines("opstasks", 40, 1e9).args
    assert "--since=@1000000000" in words
    assert not [word for word in words if str(word).startswith("--lines")]
