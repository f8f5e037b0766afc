"""Growing tables: their parts read like one table."""

from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.output.console import table_text
from opstasks.output.rows import GrowingTable, Overview


class Screen:
    def __init__(self):
        self.text = ""

    def say_table(self, text):
        self.text += text + "\n"


def ok(host, **cells):
    return HostResult(host, "ok", cells)


def dead(host):
    return HostResult(host, "unreachable", error=Unreachable("no answer"))


def overview(*batches):
    screen = Screen()
    made = Overview(screen, lambda value: value)
    for batch in batches:
        made.show(FleetResult(batch))
    return screen.text


def test_rows_that_arrive_together_make_the_usual_table():
    assert overview([ok("a", unit="up"), dead("b"), ok("c", unit="down")]) == (
        "host    unit\n------  -----------\na       up\nc       down\nb       unreachable\n"
    )


def test_later_rows_have_no_header_and_the_same_columns():
    assert overview([ok("a", unit="running")], [ok("b", unit="up")], [dead("c")]).splitlines() == [
        "host    unit",
        "------  -------",
        "a       running",
        "b       up",
        "c       unreachable",
    ]


def test_a_new_column_brings_a_new_header():
    lines = overview([ok("a", unit="up")], [ok("b", unit="up", sync="on")]).splitlines()
    assert lines[0].split() == ["host", "unit"]
    assert lines[3].split() == ["host", "unit", "sync"]
    assert lines[5].split() == ["b", "up", "on"]


def test_hosts_that_fail_early_are_in_the_table_once_there_is_one():
    assert overview([dead("a")], [dead("b")]) == ""
    lines = overview([dead("a")], [ok("b", unit="up")]).splitlines()
    assert [line.split() for line in lines[2:]] == [["b", "up"], ["a", "unreachable"]]


CELLS = st.text(st.sampled_from("abc -.\u00e9"), max_size=12)
# A header is a word of ours.
HEADERS = st.text(st.sampled_from("abc"), min_size=1, max_size=12)
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=4)


@given(st.lists(HEADERS, min_size=3, max_size=3), st.lists(ROWS, min_size=1, max_size=4))
def test_every_row_is_printed_once_and_in_order(headers, batches):
    screen = Screen()
    table = GrowingTable(screen)
    for rows in batches:
        table.add(headers, rows)
    whole = table_text(headers, [row for rows in batches for row in rows])
    assert words(screen.text) == words(whole)


def words(text):
    """The words of a table; the rule below the headers varies."""
    lines = [line.split() for line in text.splitlines()]
    rule = next(at for at, line in enumerate(lines) if line and not "".join(line).strip("-"))
    return [word for at, line in enumerate(lines) if at != rule for word in line]


def test_wide_tables_are_wrapped_in_every_part(monkeypatch):
    monkeypatch.setattr("opstasks.output.fit.window", lambda: 30)
    screen = Screen()
    table = GrowingTable(screen)
    for host in ("a", "b"):
        table.add(["host", "text"], [[host, "word " * 20]])
    lines = screen.text.splitlines()
    assert max(map(len, lines)) <= 30
    assert sum(line.startswith("a ") for line in lines) == 1
    assert sum(line.startswith("b ") for line in lines) == 1
    assert sum(line.count("word") for line in lines) == 40


def test_without_rows_no_table_is_printed():
    screen = Screen()
    GrowingTable(screen).add(["host"], [])
    assert screen.text == ""
