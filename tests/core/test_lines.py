"""The lines of a text."""

import pytest

from opstasks.core.lines import last_line
from opstasks.fleet import refusals


@pytest.mark.parametrize(
    ("text", "last"),
    [("", ""), ("\n", ""), ("a\nb\r\n", "b"), ("a\nb\u2028c\x85d\fe", "b\u2028c\x85d\fe")],
)
def test_only_a_line_feed_begins_the_last_line(text, last):
    assert last_line(text) == last


def test_a_login_that_fails_says_its_whole_last_lines():
    assert refusals.said("one\r\ncannot read x\u2028all is well\r\n") == (
        "one / cannot read x\u2028all is well"
    )
