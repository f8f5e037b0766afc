"""`--watch`: a table that is drawn again and again, until Ctrl-C."""

import io
import os
import signal
import threading
import time

import pytest

from opstasks.core.errors import Interrupted, Refused
from opstasks.output import live, screen
from opstasks.output.console import Console
from opstasks.output.parts import bad, text_of_line


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def watch(monkeypatch):
    """Watch on a terminal of 80 columns; returns what was drawn on it."""

    def on_terminal(render, every_s, as_json=False):
        # Not in the fixture: pytest installs its own streams when the test begins.
        shown = Terminal()
        monkeypatch.setattr("sys.stdin", Terminal())
        monkeypatch.setattr("sys.stdout", shown)
        monkeypatch.setattr(live, "size", lambda: on_terminal.size)
        monkeypatch.setenv("TERM", "xterm")
        try:
            screen.watch(render, every_s, Console(as_json=as_json))
        finally:
            drawn.append(shown.getvalue())
        return shown.getvalue()

    drawn = on_terminal.drawn = []
    on_terminal.size = (80, 24)
    return on_terminal


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted("stopped")])
def test_ctrl_c_ends_the_watch_and_leaves_the_last_table(watch, error):
    drawn = []

    def render():
        if len(drawn) == 2:
            raise error
        drawn.append(f"table {len(drawn)}")
        return drawn[-1]

    shown = watch(render, 0.2)
    assert shown.startswith(live.ENTER)
    assert shown.endswith(f"{live.LEAVE}table 1\n")


def test_ctrl_c_is_noticed_while_waiting(watch):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    assert "table" in watch(lambda: "table", 60)
    assert time.monotonic() - started < 10


def test_an_error_leaves_the_terminal_as_it_was(watch):
    def render():
        raise Refused("no")

    with pytest.raises(Refused):
        watch(render, 1)
    assert watch.drawn[-1].endswith(live.LEAVE)


@pytest.mark.parametrize(
    ("every_s", "as_json", "said"),
    [
        (0, False, "must be between 0.2 and 3600"),
        (4000, False, "not 4000"),
        (2, True, "never ends"),
    ],
)
def test_an_impossible_watch_is_refused(watch, every_s, as_json, said):
    with pytest.raises(Refused, match=said):
        watch(lambda: "", every_s, as_json)


def test_a_watch_without_a_terminal_is_refused(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    with pytest.raises(Refused, match="needs a terminal"):
        screen.watch(lambda: "", 2, Console())


def test_what_does_not_fit_is_counted_and_marked():
    lines = [[f"line {number} ", bad("x" * 100)] for number in range(30)]
    shown = [text_of_line(line) for line in live.within(lines, 60, 15)]
    assert len(shown) == 15 and max(map(len, shown)) < 60
    assert shown[0].endswith("x…")
    assert shown[-1].startswith("… 16 more lines")


def test_lines_with_colours_are_drawn_in_place(watch, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = watch(ends_after([[["tpp  ", bad("down")]]]), 0.2)
    assert f"tpp  \x1b[31mdown\x1b[0m{live.END_OF_LINE}" in shown
    # Nothing is cleared before it is drawn again, so nothing flickers.
    assert "\x1b[2J" not in shown


def test_the_same_lines_are_not_sent_twice():
    terminal = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", terminal)
        patch.setattr(live, "size", lambda: (60, 15))
        display = live.Display(Console())
        display.draw([["a"]])
        before = terminal.getvalue()
        display.draw([["a"]])
        assert terminal.getvalue() == before
        display.draw([["b"]])
        assert terminal.getvalue() != before


def test_a_terminal_that_cannot_replace_lines_is_refused(monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(Refused, match="needs a terminal"):
        live.check(2, is_quiet=False)


def ends_after(screens):
    """A function that returns each screen once, and then is interrupted."""
    left = list(screens)

    def render():
        if not left:
            raise KeyboardInterrupt
        return left.pop(0)

    return render
