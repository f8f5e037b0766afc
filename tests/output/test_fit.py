"""Tables in a window that is narrower than they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.output import console, fit

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
def test_a_table_fits_or_every_column_is_as_narrow_as_its_longest_word(rows, columns):
    found = fit.widths(rows, columns)
    total = sum(found) + fit.GAP * (len(found) - 1)
    assert total <= columns or found == longest_words(rows)


@given(ROWS, st.integers(1, 200))
def test_no_word_is_cut_and_no_column_wider_than_it_needs(rows, columns):
    natural = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for least, width, most in zip(
        longest_words(rows), fit.widths(rows, columns), natural, strict=True
    ):
        assert least <= width <= most


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


@given(st.text("ab :", max_size=300), st.integers(1, 120))
def test_no_second_line_of_a_text_begins_a_line(text, columns):
    """A file's name can contain blanks up to the end of a line, and then `error: ...`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "window", lambda: columns)
        shown = console.table_text(["file", "size"], [[f"x {text} error: tpp: lost", "1 B"]])
    lines = shown.split("\n")
    rule = next(at for at, line in enumerate(lines) if line.startswith("---"))
    first, *more = lines[rule + 1 :]
    assert first.startswith("x")
    assert all(line.startswith("  ") for line in more)


def test_a_row_is_one_line_in_a_pipe(monkeypatch):
    monkeypatch.setattr(fit, "window", lambda: 0)
    text = console.table_text(["host", "finding"], [["h", "word " * 80]])
    assert len(text.splitlines()) == 3
