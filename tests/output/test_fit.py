"""Texts and lines in a window of a given width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Painted, bad, good, text_of_line
from tests.output.tables import TEXTS, looks_like_ours, shown_width

PARTS = st.lists(TEXTS | st.builds(Painted, TEXTS, st.just("red")), min_size=1, max_size=4)
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
    assert all(shown_width(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.lists(st.text("ab", min_size=1, max_size=10), min_size=1), st.integers(10, 40))
def test_a_word_that_fits_into_a_line_is_not_divided(words, width):
    lines = fit.wrapped(" ".join(words), width)
    assert " ".join(lines).split() == words


@given(PARTS, st.integers(20, 240))
def test_a_folded_line_fits_and_no_other_line_begins_with_a_text(parts, width):
    lines = fit.folded(["tpp  ", *parts], width)
    assert all(shown_width(printable(text_of_line(line))) <= width for line in lines)
    assert not any(looks_like_ours(line) for line in lines)
    assert all(text_of_line(line).startswith("  ") for line in lines[1:])


@given(PARTS, st.integers(20, 240))
def test_folding_keeps_each_letter_and_its_colour(parts, width):
    def painted(lines):
        marked = [(c, getattr(p, "colour", "")) for line in lines for p in line for c in letters(p)]
        return [item for item in marked if item[0] != " "]

    def letters(part):
        return printable(getattr(part, "text", part))

    assert painted(fit.folded(parts, width)) == painted([parts])


@given(PARTS, st.integers(1, 240))
def test_a_clipped_line_fits_and_says_that_something_is_missing(parts, width):
    line = fit.clipped_line(parts, width)
    text = text_of_line(parts)
    assert shown_width(printable(text_of_line(line))) <= width
    assert line == parts or line[-1] == fit.MARK
    assert (line == parts) == (shown_width(printable(text)) <= width)


def test_a_command_to_type_stays_in_one_line():
    line = ["sandbox-2  died 3 times in 4 min   undo: inv -H sandbox-2 deploy.rollback"]
    assert [text_of_line(found) for found in fit.folded(line, 50)] == [
        "sandbox-2  died 3 times in 4 min   undo:",
        "  inv -H sandbox-2 deploy.rollback",
    ]


def test_a_command_that_is_longer_than_the_window_is_divided_at_spaces():
    (first, second) = fit.folded(["inv -H sandbox-1 deploy.rollback --yes"], 30)
    assert text_of_line(first) == "inv -H sandbox-1"
    assert text_of_line(second) == "  deploy.rollback --yes"


def test_a_line_that_is_indented_continues_below_itself():
    lines = fit.folded(["    now  service up, 1 job goes on"], 24)
    assert [text_of_line(line) for line in lines] == [
        "    now  service up, 1",
        "      job goes on",
    ]


def test_colours_go_on_in_the_next_line():
    lines = fit.folded(["a ", bad("red and more red"), good(" green")], 12)
    assert lines == [["a ", bad("red and")], ["  ", bad("more red")], ["  ", good("green")]]


def test_a_text_of_spaces_is_no_endless_loop():
    assert fit.wrapped(" " * 100, 10)
    assert fit.wrapped("漢\0" * 10, 1)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_smallest_windows_do_not_fail(width):
    assert fit.folded(["漢字 abc"], width)
    assert fit.clipped_line(["漢字 abc"], width)
