"""Texts in a window of a given width."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.output import fit
from tests.output.tables import fits, shown_width

PROSE = st.text("ab 漢", max_size=80)


@given(PROSE, st.integers(1, 40))
def test_a_text_is_clipped_to_the_columns_that_it_takes(text, columns):
    found = fit.clipped(text, columns)
    assert text.startswith(found)
    assert shown_width(found) <= columns
    assert found == text or shown_width(text[: len(found) + 1]) > columns


@given(PROSE, st.integers(2, 40))
def test_a_wrapped_text_loses_only_the_spaces_at_its_line_ends(text, width):
    lines = [fit.bare(line) for line in fit.wrapped(fit.filled(text), width)]
    assert all(fits(line, width) for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.lists(st.text("ab", min_size=1, max_size=10), min_size=1), st.integers(10, 40))
def test_a_word_that_fits_into_a_line_is_not_divided(words, width):
    lines = fit.wrapped(" ".join(words), width)
    assert " ".join(lines).split() == words


def test_a_path_that_fits_into_no_line_has_a_line_of_its_own():
    path = "/srv" + "/abc" * 9
    assert fit.wrapped(f"it is in {path} now", 20) == ["it is in", path, "now"]
    assert fit.wrapped(f"path: {path} now", 20) == [f"path: {path}", "now"]


def lines_run(call):
    """How many lines of fit.py run."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        if frame.f_code.co_filename != fit.__file__:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("text", ["inv a; ", "inv a; words between them, and more words; ", "ab "])
def test_ten_times_the_text_needs_ten_times_the_work(text):
    small = lines_run(lambda: fit.wrapped(text * 50, 40))
    assert lines_run(lambda: fit.wrapped(text * 500, 40)) < 12 * small


def test_a_text_of_spaces_is_no_endless_loop():
    assert fit.wrapped(" " * 100, 10)
    assert fit.wrapped("漢\0" * 10, 1)
