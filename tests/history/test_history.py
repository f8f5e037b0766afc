"""history: journals and the operator's own file, with any content, as one list."""

import json
import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.clock import Clock
from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet import audit
from opstasks.history.merge import by_host, merge, only_own, with_own
from opstasks.history.read import (
    READ,
    HistoryAnswer,
    HistoryFilter,
    HistoryRequest,
    HistoryRow,
    HostHistory,
    JournalEntry,
    own_rows,
    read,
    read_local,
    rows,
)
from opstasks.history.screen import HistoryQuestion, clock_texts, history_screen, ignored_texts


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


def read_lines(*lines, host="tpp", source="host"):
    return rows([JournalEntry(line) for line in lines], host, source).rows


def as_root(*lines):
    return HistoryAnswer(tuple(JournalEntry(line, "root", "alice") for line in lines))


def test_a_run_is_one_row_with_its_end():
    (row,) = read_lines(entry("1", "start"), entry("1"))
    assert (row.outcome, row.task, row.host) == ("changed", "deploy", "tpp")


def test_a_run_without_an_end_has_begun():
    (row,) = read_lines(entry("1", "start", args={"ref": "main"}))
    assert (row.outcome, row.args) == ("begun", {"ref": "main"})


@given(st.lists(st.one_of(st.text(), st.just(entry("1")), st.from_type(dict).map(repr))))
def test_any_line_of_the_journal_is_read_or_left_out(lines):
    assert all(isinstance(row, HistoryRow) for row in read_lines(*lines))


FORGED = [
    "[]",
    "null",
    "1",
    "{",
    "x",
    "\udcff",
    "[" * 100_000,
    '{"who": 1}',
    entry("2", time=None),
    entry("2", time="soon"),
    entry("2", time="99999-01-01"),
    entry("2", time="0001-01-01T00:00:00+14:00"),
    entry("2", time=1e300),
    entry("2", phase="middle"),
    entry("2", args=[]),
    entry("2", args={"a": None}),
    entry("2", detail=["x"]),
    entry("2", who="x" * 100_000),
    entry("2").replace('"run_id"', '"id"'),
]


@pytest.mark.parametrize("line", FORGED, ids=range(len(FORGED)))
def test_lines_that_are_not_entries_are_left_out(line):
    assert read_lines(line, entry("1")) == read_lines(entry("1"))


def test_both_sources_make_one_row_with_the_known_end():
    there = read_lines(entry("1", "start"), entry("2"))
    here = read_lines(entry("1"), entry("3"), host="", source="local")
    merged = {row.run_id: row for row in merge(there, here)}
    assert {key: (row.outcome, row.source) for key, row in merged.items()} == {
        "1": ("changed", "both"),
        "2": ("changed", "host"),
        "3": ("changed", "local"),
    }


def test_an_unreachable_host_has_the_operators_own_rows():
    away = Unreachable("no answer")
    result = FleetResult([HostResult("tpp", "unreachable", error=away), HostResult("emis", "ok")])
    local = read_lines(entry("1"), entry("2", host="emis"), host="", source="local")
    combined = with_own(result, by_host(local), HistoryFilter(), 20)
    assert [row.run_id for row in combined.results[0].value.rows] == ["1"]
    assert combined.exit_code == 3


def test_hosts_that_were_not_selected_are_left_out():
    local = read_lines(entry("1"), entry("2", host="emis"), host="", source="local")
    asked = HistoryQuestion(HistoryFilter(), 20, by_host(local))
    assert [row.run_id for row in asked.of("emis", HostHistory([])).rows] == ["2"]
    alone = only_own(by_host(local), HistoryFilter(), 20)
    assert [item.host for item in alone] == ["emis", "tpp"]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (HistoryFilter(), True),
        (HistoryFilter(host="tp?"), True),
        (HistoryFilter(host="tp"), False),
        (HistoryFilter(task="dep"), True),
        (HistoryFilter(task="outputs.*"), False),
        (HistoryFilter(who="alice"), True),
        (HistoryFilter(who="bob"), False),
        (HistoryFilter(since=datetime(2026, 11, 24, 9, tzinfo=UTC)), True),
        (HistoryFilter(since=datetime(2026, 11, 24, 11, tzinfo=UTC)), False),
    ],
)
def test_filters_select_rows(wanted, kept):
    (row,) = read_lines(entry("1"))
    assert wanted.keeps(row) is kept


def test_the_newest_matching_rows_are_kept():
    lines = [
        entry(str(n), task="a" if n % 2 else "b", time=f"2026-11-24T10:00:{n:02}+00:00")
        for n in range(20)
    ]
    there = HostHistory(read_lines(*lines), ignored=2)
    found = HistoryQuestion(HistoryFilter(task="a"), 3).of("tpp", there)
    assert ([row.run_id for row in found.rows], found.ignored) == (["15", "17", "19"], 2)
    assert len(HistoryQuestion(HistoryFilter(task="a"), 0).of("tpp", there).rows) == 10


def test_a_time_without_a_zone_is_utc():
    (row,) = read_lines(entry("1", time="2026-11-24T12:00:00+02:00"))
    assert row.recorded_at == datetime(2026, 11, 24, 10, tzinfo=UTC).timestamp()
    assert read_lines(entry("1", time="2026-11-24T10:00:00"))[0].recorded_at == row.recorded_at


def test_an_invalid_line_of_a_journal_hides_nothing_else(fake_host):
    request = HistoryRequest(audit.IDENTIFIER, "opensafely", 40, 0.0)
    good, odd = fake_host("emis"), fake_host("tpp")
    good.expect(READ, request, as_root(entry("1")), user="root")
    odd.expect(READ, request, as_root("\0{", entry("2"), FORGED[6]), user="root")
    found = {host.name: read(host, HistoryFilter(), 20).rows for host in (good, odd)}
    assert {name: [row.run_id for row in found[name]] for name in found} == {
        "emis": ["1"],
        "tpp": ["2"],
    }


def test_a_filter_reads_more_than_it_shows(fake_host):
    host = fake_host()
    since = datetime(2026, 11, 24, tzinfo=UTC)
    request = HistoryRequest(audit.IDENTIFIER, "opensafely", 20_000, since.timestamp())
    host.expect(READ, request, as_root())
    assert read(host, HistoryFilter(since=since), 20) == HostHistory([])


def test_a_broken_line_in_the_operators_own_file_is_left_out(tmp_path):
    path = tmp_path / "audit.jsonl"
    assert read_local(path) == []
    path.write_bytes(b"\xff\xfe\n" + entry("1").encode() + b"\n{half")
    assert [row.run_id for row in read_local(path)] == ["1"]


def test_history_reads_what_audit_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    begun = audit.start("tpp", "deploy", {"ref": "main"})
    audit.write_local(begun)
    audit.write_local(audit.end(begun, "changed", "v2"))
    (row,) = read_local(audit.local_path())
    assert (row.host, row.task, row.outcome, row.detail) == ("tpp", "deploy", "changed", "v2")
    assert (row.args, row.run_id, row.source) == ({"ref": "main"}, begun.run_id, "local")


# -- what counts -----------------------------------------------------------------------------


def by(account, line, login="alice"):
    return JournalEntry(line, account, login)


def test_a_row_has_the_login_and_the_account_that_wrote_it():
    lines = [by("opensafely", entry("1", "start")), by("opensafely", entry("1"))]
    (row,) = rows(lines, "tpp", "host").rows
    assert (row.login, row.written_by, row.who) == ("alice", "opensafely", "alice@laptop")


def test_a_second_end_of_a_run_is_ignored_and_counted():
    lines = [entry("1", "start"), entry("1", outcome="failed"), entry("1", outcome="changed")]
    found = rows([by("root", line) for line in lines], "tpp", "host")
    assert [row.outcome for row in found.rows] == ["failed"]
    assert found.ignored == 1


@pytest.mark.parametrize(
    "false",
    [
        by("opensafely", entry("1", outcome="failed")),
        by("mallory", entry("1", outcome="failed"), "mallory"),
        by("root", entry("1", outcome="failed", who="bob@laptop")),
        by("root", entry("1", outcome="failed", task="pause")),
    ],
)
def test_only_the_writer_of_a_start_can_end_the_run(false):
    lines = [by("root", entry("1", "start")), false, by("root", entry("1"))]
    found = rows(lines, "tpp", "host")
    assert [row.outcome for row in found.rows] == ["changed"]
    assert found.ignored == 1


def test_a_second_start_does_not_replace_the_first():
    lines = [entry("1", "start"), entry("1", "start", args={"ref": "x"})]
    found = rows([by("root", line) for line in lines], "tpp", "host")
    assert [(row.outcome, row.args) for row in found.rows] == [("begun", {})]


def test_the_operators_own_row_counts_with_the_hosts_login():
    there = rows([by("root", entry("1", outcome="failed", who="mallory@x"))], "tpp", "host").rows
    here = read_lines(entry("1"), host="", source="local")
    (row,) = merge(there, here)
    found = (row.outcome, row.who, row.login, row.source)
    assert found == ("changed", "alice@laptop", "alice", "both")


@pytest.mark.parametrize("own", ["unknown", "interrupted"])
def test_the_host_knows_the_end_that_the_client_did_not_see(own):
    there = rows([by("root", entry("1", outcome="failed"))], "tpp", "host").rows
    (row,) = merge(there, read_lines(entry("1", outcome=own), host="", source="local"))
    assert row.outcome == "failed"


def test_ignored_lines_are_counted_for_each_host():
    journals = FleetResult(
        [
            HostResult("tpp", "ok", HostHistory([], 3)),
            HostResult("emis", "ok", HostHistory([])),
            HostResult("test", "unreachable", error=Unreachable("no answer")),
        ]
    )
    (text,) = ignored_texts(journals)
    assert text.startswith("tpp: 3 lines of the journal ignored")


def test_a_record_that_is_not_the_operators_own_file_is_not_read(tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_text(entry("1"))
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    assert read_local(path)
    with pytest.raises(OSError, match="symbolic"):
        read_local(tmp_path / "link")
    with pytest.raises(ValueError, match="not a file"):
        read_local(tmp_path / "pipe")


def test_an_own_record_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "audit.jsonl"
    assert own_rows(path) == ([], None)
    os.mkfifo(path)
    found, error = own_rows(path)
    assert (found, error.exit_code) == ([], 1)
    assert error.message == f"your own record {path} cannot be read: it is not a file"
    assert error.hint == f"make {path} a readable file of your own, or move it away"
    path.unlink()
    path.symlink_to("nowhere")
    assert "symbolic links" in own_rows(path)[1].message


def test_an_entry_that_cannot_be_read_is_counted_and_hides_no_other():
    lines = [by("root", text) for text in ('{"run_id": 7}', "{half", "a text", entry("1"))]
    found = rows(lines, "tpp", "host")
    assert ([row.run_id for row in found.rows], found.ignored) == (["1"], 2)


# -- clocks ----------------------------------------------------------------------------------

AT = 1_795_000_000.0


def told(run_id, client_s, host_s, **over):
    """A line that a client wrote `client_s` by its own clock, and that a host got `host_s`."""
    time = datetime.fromtimestamp(AT + client_s, UTC).isoformat(timespec="seconds")
    return JournalEntry(entry(run_id, time=time, **over), "root", "alice", AT + host_s)


def test_rows_have_the_times_of_the_host_whatever_the_clients_say():
    # The first client is an hour ahead, the second one has the time of the host.
    lines = [told("1", 3600.0, 0.0), told("2", 30.4, 30.9, who="bob@desk")]
    there = rows(lines, "tpp", "host").rows
    here = read_lines(lines[0].text, host="", source="local")
    found = merge(there, here)
    assert [(row.run_id, row.recorded_at) for row in found] == [("1", AT), ("2", AT + 30.9)]


def test_rows_of_the_same_second_are_in_the_order_of_the_host():
    lines = [told("root's", 0.0, 0.8), told("service's", 0.0, 0.2)]
    assert [row.run_id for row in merge(rows(lines, "tpp", "host").rows, [])] == [
        "service's",
        "root's",
    ]


@pytest.mark.parametrize(
    "ahead_s, text", [(-240.0, "was 4m behind the"), (7200.0, "was 2h ahead of the"), (3.0, "")]
)
def test_a_clock_that_is_off_is_named_with_the_last_run(ahead_s, text):
    found = rows([told("1", 0.0, ahead_s)], "tpp", "host")
    screen = history_screen(HistoryQuestion(HistoryFilter(), 0), lambda: Clock(AT))
    texts = clock_texts(FleetResult([HostResult("tpp", "ok", found)]), screen)
    assert len(texts) == bool(text)
    assert all(text in line and "clock of alice@laptop" in line for line in texts)


def test_arguments_keep_the_order_in_which_the_task_recorded_them(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    audit.write_local(audit.start("tpp", "deploy", {"to": "v2", "ref": "main", "a": "x"}))
    (row,) = read_local(audit.local_path())
    assert list(row.args) == ["to", "ref", "a"]
