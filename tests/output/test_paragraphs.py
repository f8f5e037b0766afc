"""Lines that are wider than the window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.paragraphs import clipped, folded
from opstasks.output.parts import Painted, bad, good, odd, text_of_line, to_type
from tests.output.tables import TEXTS, looks_like_ours, shown_width

PARTS = st.lists(TEXTS | st.builds(Painted, TEXTS, st.just("red")), min_size=1, max_size=4)
WORDS = st.lists(st.text("abc日\n", min_size=1, max_size=12), min_size=1, max_size=20)


def texts(line, width):
    return [text_of_line(part) for part in folded([line], width)]


@given(WORDS, st.integers(30, 100))
def test_a_line_is_continued_at_spaces_and_every_part_fits(words, width):
    found = texts([" ".join(words[:2]), " ", odd(" ".join(words[2:]))], width)
    assert all(len(fit.filled(printable(text.rstrip()))) <= width for text in found)
    assert printable("".join(found)).replace(" ", "") == printable("".join(words)).replace(" ", "")


def test_a_line_that_begins_with_a_name_goes_on_below_its_text():
    assert texts(["tpp  one two three"], 12) == ["tpp  one two", "     three"]
    assert texts(["one two three"], 9) == ["one two", "  three"]
    assert texts(["   one two"], 7) == ["   one", "   two"]


@pytest.mark.parametrize("width", [10, 20, 60])
def test_a_command_to_type_is_never_broken(width):
    command = "inv -H tpp,emis config.set MAX_WORKERS=8"
    assert any(command in text for text in texts(["Undo: ", to_type(command)], width))


def test_a_line_in_a_pipe_stays_whole():
    assert texts(["a " * 100], 0) == ["a " * 100]


def test_a_word_that_is_longer_than_the_window_stays_whole():
    path = "/srv/" + "x" * 100
    assert texts([f"below {path} there"], 60) == ["below", f"  {path}", "  there"]


def test_a_long_word_is_divided_if_its_end_looks_like_a_message():
    """The terminal would begin a line with the end of the word."""
    assert texts(["x" * 15 + "error  tpp is lost"], 15)[:2] == ["x" * 15, "  error  tpp is"]


@pytest.mark.parametrize("width", range(20, 60))
def test_a_command_with_words_of_a_host_never_looks_like_a_message(width):
    command = "inv -H a outputs.rm 'xxxxxx error  tpp is lost; next:  rm -rf / now:  gone'"
    lines = [text_of_line(line) for line in folded([["next:  ", to_type(command)]], width)]
    shown = [line[at : at + width] for line in lines for at in range(0, len(line), width)]
    assert not [line for line in shown[1:] if looks_like_ours([line])]


def test_a_colour_goes_on_in_the_next_line():
    lines = folded([["tpp  ", odd("one two")]], 9)
    assert [line[-1] for line in lines] == [odd("one"), odd("two")]


@given(PARTS, st.integers(20, 240))
def test_a_folded_line_fits_and_no_other_line_begins_with_a_text(parts, width):
    lines = folded([["tpp  ", *parts]], width)
    for text in (printable(text_of_line(line)) for line in lines):
        assert shown_width(text) <= width or len(text.split()) <= 2
    assert not any(looks_like_ours(line) for line in lines)
    assert all(text_of_line(line).startswith("  ") for line in lines[1:])


@given(PARTS, st.integers(20, 240))
def test_folding_keeps_each_letter_and_its_colour(parts, width):
    def painted(lines):
        marked = [(c, getattr(p, "colour", "")) for line in lines for p in line for c in letters(p)]
        return [item for item in marked if item[0] != " "]

    def letters(part):
        return printable(getattr(part, "text", part))

    assert painted(folded([parts], width)) == painted([parts])


@given(PARTS, st.integers(1, 240))
def test_a_clipped_line_fits_and_says_that_something_is_missing(parts, width):
    line = clipped(parts, width)
    text = text_of_line(parts)
    assert shown_width(printable(text_of_line(line))) <= width
    assert line == parts or line[-1] == fit.MARK
    assert (line == parts) == (shown_width(printable(text)) <= width)


def test_a_command_to_type_stays_in_one_line():
    line = ["sandbox-2  died 3 times in 4 min   undo: inv -H sandbox-2 deploy.rollback"]
    assert [text_of_line(found) for found in folded([line], 50)] == [
        "sandbox-2  died 3 times in 4 min   undo:",
        "           inv -H sandbox-2 deploy.rollback",
    ]


def test_a_command_that_is_longer_than_the_window_is_divided_at_spaces():
    (first, second) = folded([["inv -H sandbox-1 deploy.rollback --yes"]], 30)
    assert text_of_line(first) == "inv -H sandbox-1"
    assert text_of_line(second) == "  deploy.rollback --yes"


def test_a_line_that_is_indented_continues_below_itself():
    lines = folded([["    now  service up, 1 job goes on"]], 24)
    assert [text_of_line(line) for line in lines] == [
        "    now  service up, 1",
        "    job goes on",
    ]


def test_colours_go_on_in_the_next_line():
    lines = folded([["a ", bad("red and more red"), good(" green")]], 12)
    assert lines == [["a ", bad("red and")], ["  ", bad("more red")], ["  ", good("green")]]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_smallest_windows_do_not_fail(width):
    assert folded([["漢字 abc"]], width)
    assert clipped(["漢字 abc"], width)
