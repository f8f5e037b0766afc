"""`--watch`: lines that are drawn again and again in the same place."""

import io

import pytest

from opstasks.core.errors import Refused
from opstasks.output import live
from opstasks.output.console import Console
from opstasks.output.parts import bad, text_of_line


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Standard output and input are a terminal of 60 columns and 15 rows."""

    def make():
        shown = Terminal()
        monkeypatch.setattr("sys.stdin", Terminal())
        monkeypatch.setattr("sys.stdout", shown)
        monkeypatch.setattr("opstasks.core.window.size", lambda: (60, 15))
        monkeypatch.setattr(live, "size", lambda: (60, 15), raising=False)
        monkeypatch.setenv("TERM", "xterm")
        return shown

    return make


def test_the_terminal_is_as_it_was_at_the_end(terminal):
    shown = terminal()
    with live.Display(Console()) as display:
        display.draw([["table"]])
    assert shown.getvalue().startswith(live.ENTER)
    assert shown.getvalue().endswith(live.LEAVE)


def test_an_error_leaves_the_terminal_as_it_was(terminal):
    shown = terminal()
    with pytest.raises(KeyboardInterrupt), live.Display(Console()):
        raise KeyboardInterrupt
    assert shown.getvalue() == live.ENTER + live.LEAVE


@pytest.mark.parametrize(
    ("every_s", "is_quiet", "said"),
    [
        (0, False, "must be between 0.2 and 3600"),
        (4000, False, "not 4000"),
        (2, True, "never ends"),
    ],
)
def test_an_impossible_watch_is_refused(terminal, every_s, is_quiet, said):
    terminal()
    with pytest.raises(Refused, match=said):
        live.check(every_s, is_quiet=is_quiet)


def test_a_watch_without_a_terminal_is_refused(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    with pytest.raises(Refused, match="needs a terminal"):
        live.check(2, is_quiet=False)


def test_a_terminal_that_cannot_replace_lines_is_refused(terminal, monkeypatch):
    terminal()
    live.check(2, is_quiet=False)
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(Refused, match="needs a terminal"):
        live.check(2, is_quiet=False)


def test_what_does_not_fit_is_counted_and_marked():
    lines = [[f"line {number} ", bad("x" * 100)] for number in range(30)]
    shown = [text_of_line(line) for line in live.within(lines, 60, 15)]
    assert len(shown) == 15 and max(map(len, shown)) < 60
    assert shown[0].endswith("x…")
    assert shown[-1].startswith("… 16 more lines")


def test_lines_with_colours_are_drawn_in_place(terminal):
    shown = terminal()
    live.Display(Console()).draw([["tpp  ", bad("down")]])
    assert f"tpp  \x1b[31mdown\x1b[0m{live.END_OF_LINE}" in shown.getvalue()
    # Nothing is cleared before it is drawn again, so nothing flickers.
    assert "\x1b[2J" not in shown.getvalue()


def test_the_same_lines_are_not_sent_twice(terminal):
    shown = terminal()
    display = live.Display(Console())
    display.draw([["a"]])
    before = shown.getvalue()
    display.draw([["a"]])
    assert shown.getvalue() == before
    display.draw([["b"]])
    assert shown.getvalue() != before
