"""Lines that fit into a window, with their colours and without breaking commands."""

from hypothesis import given
from hypothesis import strategies as st

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.paragraph import Whole, folded
from opstasks.output.parts import Painted, text_of_line


def texts(lines, width):
    return [text_of_line(line) for line in folded(lines, width)]


def test_a_line_that_fits_is_unchanged():
    line = ["a", Painted("b", "red")]
    assert folded([line], 80) == [line]
    assert folded([["x" * 500]], 0) == [["x" * 500]]


def test_a_line_is_continued_below_the_text_after_its_label():
    line = ["host-1  one two three four five six"]
    assert texts([line], 26) == ["host-1  one two three four", "        five six"]


def test_a_line_without_a_label_is_continued_2_further():
    assert texts([["  + abc one two three"]], 14) == ["  + abc one", "    two three"]


def test_a_command_stays_in_one_piece():
    line = ["do this. Undo: ", Whole("inv -H a,b deploy.rollback")]
    assert texts([line], 30) == ["do this. Undo:", "  inv -H a,b deploy.rollback"]
    assert texts([line], 10)[-1] == "  inv -H a,b deploy.rollback"


def test_a_command_stays_beside_its_label():
    assert texts([["next  ", Whole("inv -H a,b deploy.rollback")]], 20) == [
        "next  inv -H a,b deploy.rollback"
    ]


def test_colours_are_kept():
    lines = folded([["a ", Painted("red words here", "red")]], 8)
    assert lines[1] == ["  ", Painted("words", "red")]


def test_a_word_wider_than_the_window_is_cut_into_pieces():
    assert texts([["x" * 25]], 12) == ["x" * 10, "  " + "x" * 10, "  " + "x" * 5]


def test_what_a_host_says_begins_no_line():
    lines = texts([["host  ", "a\nb " * 20]], 30)
    assert all(line.startswith(("host", " ")) for line in lines)
    assert not any("\n" in line for line in lines)


@given(st.lists(st.text(), max_size=6), st.integers(20, 60))
def test_no_line_is_wider_than_the_window_and_no_word_is_lost(parts, width):
    lines = texts([parts], width)
    assert all(len(fit.filled(printable(line))) <= width for line in lines)
    whole = "".join(printable(part) for part in parts)
    assert "".join(map(printable, lines)).replace(" ", "") == whole.replace(" ", "")
