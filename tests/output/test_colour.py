"""Whether a stream gets colours, and whether lines on it can be replaced."""

import io

import pytest

from opstasks.output.colour import can_rewrite, has_colours
from opstasks.output.console import Console
from opstasks.output.parts import bad, good, odd


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environ", "no_color", "terminal", "pipe"),
    [
        ({"TERM": "xterm"}, False, True, False),
        ({}, False, False, False),
        ({"TERM": ""}, False, False, False),
        ({"TERM": "dumb"}, False, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, False, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, False, True, False),
        ({"TERM": "xterm"}, True, False, False),
        ({"FORCE_COLOR": "1"}, False, True, True),
        ({"FORCE_COLOR": "0", "TERM": "xterm"}, False, True, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False, False),
        ({"FORCE_COLOR": "1"}, True, False, False),
    ],
)
def test_who_decides_about_colours(environ, no_color, terminal, pipe):
    assert has_colours(Terminal(), no_color=no_color, environ=environ) == terminal
    assert has_colours(io.StringIO(), no_color=no_color, environ=environ) == pipe


@pytest.mark.parametrize(
    ("environ", "can"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": ""}, False), ({}, False)],
)
def test_a_terminal_that_may_not_understand_codes_gets_none(environ, can):
    assert has_colours(Terminal(), environ=environ) == can
    assert can_rewrite(Terminal(), Terminal(), environ=environ) == can
    assert not can_rewrite(io.StringIO(), Terminal(), environ=environ)
    assert not can_rewrite(Terminal(), io.StringIO(), environ=environ)


def test_the_text_says_the_state_also_without_colours(monkeypatch):
    for environ, shown in (("1", "\x1b[32mup\x1b[0m"), ("0", "up")):
        monkeypatch.setenv("FORCE_COLOR", environ)
        out = io.StringIO()
        monkeypatch.setattr("sys.stdout", out)
        Console().say(good("up"))
        assert out.getvalue() == f"{shown}\n"


def test_no_color_leaves_out_all_codes(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    Console(no_color=True).say(bad("down"), odd(" paused"))
    assert out.getvalue() == "down paused\n"
