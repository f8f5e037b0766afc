"""Growing tables: their parts read like one table."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstasks.output.parts import text_of_line
from opstasks.output.rows import GrowingTable
from opstasks.output.table import Column, draw
from tests.output.tables import columns_and_rows, fits, rows_for

COLUMNS = [Column("HOST"), Column("STATE"), Column("TEXT", 1, "wrap"), Column("SYNC", 2)]


class Paper:
    """Stands in for a console with a window of a width."""

    def __init__(self, window=0, wide=False):
        self.window, self.wide, self.lines = window, wide, []

    def say_lines(self, lines):
        self.lines += [text_of_line(line) for line in lines]


def grown(columns, *batches, window=0):
    paper = Paper(window)
    table = GrowingTable(paper, columns)
    for rows in batches:
        table.add(rows)
    table.end()
    return paper.lines


def test_rows_that_arrive_together_make_the_usual_table():
    rows = [["a", "up", "", ""], ["b", "down", "", ""]]
    assert grown(COLUMNS, rows) == [text_of_line(line) for line in draw(COLUMNS, rows, 0).lines]


def test_later_rows_have_no_header_and_the_same_columns():
    assert grown(COLUMNS[:2], [["sandbox-1", "running"]], [["b", "up"]]) == [
        "HOST       STATE",
        "sandbox-1  running",
        "b          up",
    ]


def test_a_new_column_brings_a_new_header():
    assert grown(COLUMNS, [["a", "up", "", ""]], [["b", "up", "", "on"]], window=80) == [
        "HOST  STATE",
        "a     up",
        "HOST  STATE  SYNC",
        "b     up     on",
    ]


def test_a_column_that_has_become_empty_stays():
    assert grown(COLUMNS, [["a", "up", "", "on"]], [["b", "up", "", ""]], window=80) == [
        "HOST  STATE  SYNC",
        "a     up     on",
        "b     up",
    ]


def test_columns_that_were_left_out_are_named_once_at_the_end():
    rows = [["sandbox-1", "up", "some words", "x" * 20]]
    lines = grown(COLUMNS, rows, rows, window=40)
    assert lines[-1] == "not shown: sync (--wide)"
    assert sum("not shown" in line for line in lines) == 1


def test_without_rows_no_table_is_printed():
    assert grown(COLUMNS, []) == grown(COLUMNS) == []


@settings(max_examples=50)
@given(st.data(), st.integers(20, 240))
def test_later_rows_fit_into_the_window(data, width):
    columns, rows = data.draw(columns_and_rows())
    more = data.draw(st.lists(rows_for(columns), max_size=3))
    assert all(fits(line, width) for line in grown(columns, rows, *more, window=width))


@settings(max_examples=50)
@given(st.data())
def test_in_a_pipe_each_row_is_one_line_below_one_header(data):
    columns, rows = data.draw(columns_and_rows())
    more = data.draw(st.lists(rows_for(columns), max_size=3))
    lines = grown(columns, rows, *more)
    assert len(lines) == 1 + len(rows) + sum(map(len, more))
    whole = [text_of_line(line) for line in draw(columns, sum(more, rows), 0).lines]
    assert [line.split() for line in lines] == [line.split() for line in whole]


@pytest.mark.parametrize("window", [30, 60])
def test_a_longer_value_in_later_rows_is_no_reason_for_blocks(window):
    columns = [Column("JOB"), Column("ACTION", long="clip")]
    first, later = [["a", "x" * 60]], [["long-job-id", "x" * 60]]
    lines = grown(columns, first, later, window=window)
    assert lines[-1].startswith("long-job-id  x") and lines[-1].endswith("…")
