"""Tables in a window of any width."""

import ast
import re
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from opstasks.output.escape import printable, unlike_ours
from opstasks.output.parts import Painted, bad, good, text_of, text_of_line
from opstasks.output.table import MOST_CELL, Column, cell_text, draw
from tests.output.tables import (
    IDS,
    WINDOWS,
    columns_and_rows,
    fits,
    letters,
    looks_like_ours,
    rows_for,
    shown_width,
)

PACKAGE = Path(__file__).parents[2] / "opstasks"
JOBS = [
    Column("HOST"),
    Column("JOB"),
    Column("WORKSPACE / ACTION", long="clip"),
    Column("STATE"),
    Column("STARTED", 1),
    Column("FOR", 2, is_right=True),
]
ROWS = [
    ["sandbox-1", "ovlotu", "study-b / extract", good("executing"), "07:44", "12m"],
    ["sandbox-2", "k2x9ap", "test / after_quick_and_a_long_name", "waiting", "07:50", "6m"],
]


def texts(table):
    return [text_of_line(line) for line in table.with_hint()]


def cell_of(value):
    """A value as its cell shows it."""
    text = text_of(value) if isinstance(value, str | Painted) else cell_text(value)
    return printable(text).strip()


def letters_of(rows, kept, drawn):
    """How often each letter must be shown for the values of some columns."""
    return Counter(letters("".join(cell_of(row[at]) for row in titled(rows, drawn) for at in kept)))


def titled(rows, drawn):
    """The rows without a first value that the title above an earlier row may say."""
    before = None
    for row in rows:
        is_said = drawn.layout is None and before is not None and cell_of(row[0]) == before
        yield [None, *row[1:]] if is_said else row
        before = cell_of(row[0])


def unguarded(text):
    """A text with the words that must not begin a line as they were."""
    return re.sub(r"\\x(6[5e])(?=rror|ext:|ow:)", lambda found: chr(int(found[1], 16)), text)


# -- any table -----------------------------------------------------------------------------------


@settings(max_examples=60)
@given(columns_and_rows(), WINDOWS, st.booleans())
def test_no_line_is_wider_than_the_window(table, width, wide):
    assert all(fits(text, width) for text in texts(draw(*table, width, wide=wide)))


@settings(max_examples=60)
@given(columns_and_rows(), WINDOWS, st.booleans())
def test_a_value_of_a_host_never_looks_like_a_message_of_ours(table, width, wide):
    for line in draw(*table, width, wide=wide).with_hint():
        assert not looks_like_ours(line)
        assert text_of_line(line).isprintable()


@settings(max_examples=60)
@given(columns_and_rows(), WINDOWS, st.booleans())
def test_a_whole_value_is_never_broken(table, width, wide):
    columns, rows = table
    drawn = draw(columns, rows, width, wide=wide)
    for at, column in enumerate(columns):
        if column.long != "whole" or column.title in drawn.hidden:
            continue
        for row in rows:
            value = cell_of(row[at])
            if shown_width(value) <= width - 4:
                assert any(value in text for text in texts(drawn))


@settings(max_examples=60)
@given(columns_and_rows(), WINDOWS)
def test_nothing_is_left_out_without_a_sign(table, width):
    columns, rows = table
    drawn = draw(columns, rows, width)
    shown = Counter(letters(unguarded(" ".join(texts(drawn)))))
    if "…" not in shown:
        kept = [at for at, column in enumerate(columns) if column.title not in drawn.hidden]
        for letter, count in letters_of(rows, kept, drawn).items():
            assert shown[letter] >= count
    named = letters("".join(texts(drawn))).lower()
    assert all(title.lower() in named for title in drawn.hidden)


@settings(max_examples=60)
@given(columns_and_rows(), WINDOWS)
def test_wide_shows_all_but_values_longer_than_the_window(table, width):
    columns, rows = table
    drawn = draw(columns, rows, width, wide=True)
    assert not drawn.hidden
    shown = Counter(letters(unguarded(" ".join(texts(drawn)))))
    long = [v for row in rows for v in row if shown_width(cell_of(v)) >= width - 4]
    assert long or "…" not in shown
    if not long:
        for letter, count in letters_of(rows, range(len(columns)), drawn).items():
            assert shown[letter] >= count


@settings(max_examples=60)
@given(columns_and_rows())
def test_each_row_is_one_line_without_a_window(table):
    columns, rows = table
    drawn = draw(columns, rows, 0)
    assert len(drawn.with_hint()) == len(rows) + 1
    for row, text in zip(rows, texts(drawn)[1:], strict=True):
        for value in row[1:]:
            assert cell_of(value) in unguarded(text)


def test_a_title_stands_once_above_rows_of_two_colours():
    rows = [[colour("sandbox-1"), "a-long-value", "a-longer-value"] for colour in (good, bad)]
    columns = [Column(title) for title in ("HOST", "JOB", "ACTION")]
    assert [line.strip() for line in texts(draw(columns, rows, 34))].count("sandbox-1") == 1


@settings(max_examples=60)
@given(columns_and_rows(), WINDOWS, st.booleans())
def test_colours_change_no_text(table, width, wide):
    columns, rows = table
    plain = [[v.text if isinstance(v, Painted) else v for v in row] for row in rows]
    assert texts(draw(columns, rows, width, wide=wide)) == texts(
        draw(columns, plain, width, wide=wide)
    )


@settings(max_examples=60)
@given(columns_and_rows(), WINDOWS)
def test_only_texts_that_we_painted_have_a_colour(table, width):
    columns, rows = table
    painted = {cell_of(v) for row in rows for v in row if isinstance(v, Painted)}
    painted |= {unlike_ours(value) for value in painted}
    for line in draw(columns, rows, width).lines:
        for part in line:
            if isinstance(part, Painted) and part.colour not in ("bold", "dim"):
                piece = letters(part.text.rstrip("…"))
                assert any(piece in letters(value) for value in painted)


@given(st.data(), WINDOWS)
def test_the_header_is_repeated_only_if_columns_change(data, width):
    columns, rows = data.draw(columns_and_rows())
    first = draw(columns, rows, width)
    later = draw(columns, data.draw(rows_for(columns)), width, before=first.layout)
    if later.layout is None:
        return
    has_header = later.lines[0] == [Painted(text_of_line(later.lines[0]), "bold")]
    assert has_header == (first.layout is None or later.layout.shown != first.layout.shown)
    assert all(shown_width(text) <= width for text in texts(later))
    if first.layout is not None:
        # A column that had no room does not come back.
        assert not first.layout.dropped & set(later.layout.shown)
        assert first.layout.dropped <= later.layout.dropped


@given(st.lists(IDS, min_size=1, max_size=5), WINDOWS)
def test_more_room_hides_no_column(ids, width):
    columns = [Column("HOST"), *(Column(f"T{n}", n) for n in range(len(ids)))]
    rows = [["tpp", *ids]]
    narrow, broad = draw(columns, rows, width), draw(columns, rows, width + 1)
    assert set(broad.hidden) <= set(narrow.hidden)


# -- what it looks like --------------------------------------------------------------------------


def test_a_table_that_fits():
    assert texts(draw(JOBS, ROWS, 120)) == [
        "HOST       JOB     WORKSPACE / ACTION                  STATE      STARTED  FOR",
        "sandbox-1  ovlotu  study-b / extract                   executing  07:44    12m",
        "sandbox-2  k2x9ap  test / after_quick_and_a_long_name  waiting    07:50     6m",
    ]


def test_texts_become_narrower_before_a_column_is_left_out():
    assert texts(draw(JOBS, ROWS, 66)) == [
        "HOST       JOB     WORKSPACE / ACTION      STATE      STARTED  FOR",
        "sandbox-1  ovlotu  study-b / extract       executing  07:44    12m",
        "sandbox-2  k2x9ap  test / after_quick_an…  waiting    07:50     6m",
    ]


def test_the_least_important_columns_are_left_out_and_named():
    assert texts(draw(JOBS, ROWS, 52)) == [
        "HOST       JOB     WORKSPACE / ACTION      STATE",
        "sandbox-1  ovlotu  study-b / extract       executing",
        "sandbox-2  k2x9ap  test / after_quick_an…  waiting",
        "not shown: started, for (--wide)",
    ]


def test_the_first_values_become_titles_where_the_columns_do_not_fit():
    assert texts(draw(JOBS, [ROWS[0], ROWS[0], ROWS[1]], 42)) == [
        "  JOB     WORKSPACE / ACTION     STATE",
        "sandbox-1",
        "  ovlotu  study-b / extract      executing",
        "  ovlotu  study-b / extract      executing",
        "sandbox-2",
        "  k2x9ap  test / after_quick_a…  waiting",
        "not shown: started, for (--wide)",
    ]


def test_a_row_becomes_a_block_where_not_even_the_other_columns_fit():
    assert texts(draw(JOBS, ROWS[:1], 38)) == [
        "sandbox-1",
        "  JOB                 ovlotu",
        "  WORKSPACE / ACTION  study-b /",
        "                      extract",
        "  STATE               executing",
        "not shown: started, for (--wide)",
    ]


def test_a_long_explanation_continues_below_itself():
    columns = [Column("HOST"), Column("FINDING", long="wrap")]
    assert texts(draw(columns, [["tpp", "the disk is almost full: 97%"]], 30)) == [
        "HOST  FINDING",
        "tpp   the disk is almost full:",
        "      97%",
    ]


def test_a_path_in_an_explanation_is_not_broken():
    path = "/srv/medium/workspaces/a/b/output.csv"
    columns = [Column("HOST"), Column("CHECK"), Column("FINDING", long="wrap")]
    lines = texts(draw(columns, [["sandbox-1", "outputs", f"cannot read {path}"]], 45))
    assert any(path in line for line in lines)


def test_a_first_column_that_continues_is_indented():
    columns = [Column("FINDING", long="wrap"), Column("HOST")]
    lines = texts(draw(columns, [["x error  tpp is lost and gone", "tpp"]], 24))
    assert lines[1:] == ["x error  tpp is     tpp", "  lost and gone"]


def test_columns_with_nothing_in_them_are_left_out_silently():
    columns = [Column("HOST"), Column("PAUSED", 1), Column("STATE")]
    assert texts(draw(columns, [["tpp", None, "up"]], 80)) == ["HOST  STATE", "tpp   up"]


def test_columns_stay_in_a_pipe_also_with_nothing_in_them():
    columns = [Column("HOST"), Column("PAUSED", 1), Column("STATE")]
    assert texts(draw(columns, [["tpp", None, "up"]], 0)) == [
        "HOST  PAUSED  STATE",
        "tpp           up",
    ]


def test_a_state_keeps_its_colour_and_its_place():
    columns = [Column("HOST"), Column("STATE", is_right=True), Column("NOTE")]
    (line,) = draw(columns, [["a", bad("down"), "x"]], 80).lines[1:]
    assert line == ["a      ", bad("down"), "  x"]


def test_a_long_text_of_one_host_does_not_lengthen_all_rows():
    columns = [Column("HOST"), Column("FOUND"), Column("OK")]
    lines = texts(draw(columns, [["a", "x" * 60_000, "BAD"], ["b", "\x1b" * 60_000, "ok"]], 0))
    assert max(map(len, lines)) < MOST_CELL + 20
    assert lines[1].endswith("x…  BAD") and lines[2].endswith("…  ok")


def test_ids_that_look_like_numbers_are_shown_unchanged():
    assert texts(draw([Column("ID")], [["5e12"], ["007"], [True], [1.50]], 80)) == [
        "ID",
        "5e12",
        "007",
        "yes",
        "1.5",
    ]


def test_nothing_is_drawn_without_rows():
    assert draw(JOBS, [], 80).with_hint() == []


def test_every_screen_can_show_all_columns():
    """--wide is said to show what a table leaves out: a screen must pass it on."""
    wrong = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        # With one argument it draws lines, not a table.
        if isinstance(node, ast.Call) and len(node.args) > 1
        if ast.unparse(node.func) in ("draw", "table.draw")
        and "wide" not in {word.arg for word in node.keywords}
        # Nothing names a column that a question with numbered lines leaves out.
        and path.relative_to(PACKAGE).as_posix() != "jobs/choose.py"
    ]
    assert wrong == []
