"""Tables in a window that is narrower than they are."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.output import console, fit
from opstasks.output import rows as rows_of

WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=12), max_size=8).map(" ".join)
ROWS = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(WORDS, min_size=n, max_size=n), min_size=1, max_size=5)
)


def longest_words(rows):
    return [
        max(
            len(word) + (2 if at == 0 and number else 0)
            for text in column
            for number, word in enumerate(text.split() or [""])
        )
        for at, column in enumerate(zip(*rows, strict=True))
    ]


@given(ROWS, st.integers(1, 200))
def test_a_table_fits_or_every_column_is_as_narrow_as_it_may_be(rows, columns):
    found = fit.widths(rows, columns)
    total = sum(found) + fit.GAP * (len(found) - 1)
    assert total <= columns or max(found) <= fit.LEAST


@given(ROWS, st.integers(1, 200))
def test_no_column_is_wider_than_it_needs_and_words_stay_whole_if_they_fit(rows, columns):
    natural = [max(map(len, column)) for column in zip(*rows, strict=True)]
    found, longest = fit.widths(rows, columns), longest_words(rows)
    assert all(width <= most for width, most in zip(found, natural, strict=True))
    if sum(longest) + fit.GAP * (len(found) - 1) <= columns:
        assert all(least <= width for least, width in zip(longest, found, strict=True))


@given(ROWS, st.integers(1, 200))
def test_no_column_becomes_narrower_than_the_rows_before_it(rows, columns):
    least = [max(map(len, column)) for column in zip(*rows, strict=True)]
    assert fit.widths([*rows, ["x" * 99] * len(least)], columns, least) >= least


def test_the_widest_column_is_wrapped_and_ids_stay_whole(monkeypatch):
    monkeypatch.setattr(fit, "window", lambda: 60)
    text = console.table_text(
        ["host", "job", "finding"],
        [
            [
                "sandbox-1",
                "35vovkqiaukvlmls",
                "the container os-job-35vovkqiaukvlmls is there but no job stands for it",
            ]
        ],
    )
    assert max(map(len, text.splitlines())) <= 60
    assert "35vovkqiaukvlmls" in text
    assert " os-job-35vovkqiaukvlmls" in text
    assert "there but no" in " ".join(text.split())


def shown_width(line):
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


@given(st.lists(st.text("ab :漢", max_size=300), min_size=1, max_size=3), st.integers(30, 120))
def test_no_second_line_of_a_text_begins_a_line(texts, columns):
    """A file's name can contain what ends a line of the window, and then `error: ...`.

    That can be blanks, wide characters, or a word that is longer than the window is wide.
    """
    rows = [[f"x {text} error: tpp: lost", f"x{text} error: tpp: lost"] for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "window", lambda: columns)
        shown = console.table_text(["file", "what"], rows)
    lines = shown.split("\n")
    rule = next(at for at, line in enumerate(lines) if line.startswith("---"))
    assert all(line.startswith(("x", "  ")) for line in lines[rule + 1 :])
    # Else the terminal itself would begin a new line.
    assert all(shown_width(line) <= columns for line in lines)
    assert not [line for line in lines if line.startswith("error:")]


@given(st.text("a漢", max_size=50), st.integers(1, 40))
def test_a_line_is_clipped_to_the_columns_that_it_takes(text, columns):
    found = fit.clipped(text, columns)
    assert text.startswith(found)
    assert shown_width(found) <= columns
    assert found == text or shown_width(text[: len(found) + 1]) > columns


@given(ROWS, ROWS, st.integers(24, 120))
def test_later_rows_of_a_growing_table_fit_and_show_only_themselves(before, after, columns):
    count = min(len(before[0]), len(after[0]), 3)
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "window", lambda: columns)
        screen = console.Console()
        patch.setattr(screen, "say_table", printed.append)
        table = rows_of.GrowingTable(screen)
        for rows in (before, after):
            table.add(["h"] * count, [[f"q{text}" for text in row[:count]] for row in rows])
    # The row that keeps the widths is made of these.
    assert "x" not in printed[1]
    assert all(len(line) <= columns for text in printed for line in text.split("\n"))
    letters = "".join(text for row in after for text in row[:count])
    assert sorted(printed[1].replace("q", "").replace("\n", "").replace(" ", "")) == sorted(
        letters.replace(" ", "")
    )


def test_a_row_is_one_line_in_a_pipe(monkeypatch):
    monkeypatch.setattr(fit, "window", lambda: 0)
    text = console.table_text(["host", "finding"], [["h", "word " * 80]])
    assert len(text.splitlines()) == 3
