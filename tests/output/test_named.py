"""Names and values in a window of any width."""

import pytest

from opstasks.output.named import named_lines
from opstasks.output.parts import Painted, bad
from tests.screen_check import WIDTHS, check_fits, shown

PATH = "/srv/high_privacy/logs/2026-11/os-job-zvwxyabcdefg2345"
VALUES = [("host", "tpp"), ("command", "python " * 30), ("log", PATH), ("odd", "日本語 " * 30)]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_value_is_wider_than_the_window(width):
    lines = named_lines(VALUES, width)
    check_fits(lines, width)
    assert any(PATH in line for line in shown(lines))


def test_a_value_is_continued_below_its_beginning():
    lines = shown(named_lines([("a", "1"), ("words", "one two three four five six seven")], 40))
    assert lines == ["a      1", "words  one two three four five six seven"]
    lines = shown(named_lines([("words", "one two three four five six seven")], 30))
    assert lines == ["words  one two three four five", "       six seven"]


def test_a_path_that_does_not_fit_beside_its_name_stands_below():
    assert shown(named_lines([("log files", PATH)], 60)) == ["log files", f"  {PATH}"]


def test_in_a_pipe_each_value_is_one_line():
    assert shown(named_lines([("a", "x " * 500)], 0)) == ["a  " + "x " * 499 + "x"]


def test_a_value_keeps_its_colour_and_is_one_line():
    (line,) = named_lines([("state", bad("a\nb"))], 80)
    assert line[-1] == Painted("a\\nb", "red")
