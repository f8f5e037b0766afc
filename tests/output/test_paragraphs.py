"""Lines that are wider than the window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.paragraphs import folded
from opstasks.output.parts import odd, text_of_line, to_type

WORDS = st.lists(st.text("abc日\n", min_size=1, max_size=12), min_size=1, max_size=20)


def texts(line, width):
    return [text_of_line(part) for part in folded([line], width)]


@given(WORDS, st.integers(30, 100))
def test_a_line_is_continued_at_spaces_and_every_part_fits(words, width):
    found = texts([" ".join(words[:2]), " ", odd(" ".join(words[2:]))], width)
    assert all(len(fit.filled(printable(text.rstrip()))) <= width for text in found)
    assert " ".join(found).split() == " ".join(words).split()


def test_a_line_that_begins_with_a_name_goes_on_below_its_text():
    assert texts(["tpp  one two three"], 12) == ["tpp  one two", "     three"]
    assert texts(["one two three"], 9) == ["one two", "  three"]
    assert texts(["   one two"], 7) == ["   one", "   two"]


@pytest.mark.parametrize("width", [10, 20, 60])
def test_a_command_to_type_is_never_broken(width):
    command = "inv -H tpp,emis config.set MAX_WORKERS=8"
    assert any(command in text for text in texts(["Undo: ", to_type(command)], width))


def test_a_long_word_and_a_line_in_a_pipe_stay_whole():
    path = "/srv/" + "x" * 100
    assert texts([f"below {path} there"], 60) == ["below", f"  {path}", "  there"]
    assert texts(["a " * 100], 0) == ["a " * 100]


def test_a_colour_goes_on_in_the_next_line():
    lines = folded([["tpp  ", odd("one two")]], 9)
    assert [line[-1] for line in lines] == [odd("one"), odd("two")]
