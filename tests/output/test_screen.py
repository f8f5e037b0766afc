"""`--watch`: a table that is drawn again and again, until Ctrl-C."""

import io
import os
import signal
import threading
import time

import pytest

from opstasks.core.errors import Interrupted, Refused
from opstasks.output import screen


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
        monkeypatch.setattr(screen, "size", lambda: (80, 24))
        try:
            screen.watch(render, every_s, as_json=as_json)
        finally:
            drawn.append(shown.getvalue())
        return shown.getvalue()

    drawn = on_terminal.drawn = []
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
    assert shown.startswith(screen.ENTER)
    assert shown.endswith(f"{screen.LEAVE}table 1\n")


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
    assert watch.drawn[-1].endswith(screen.LEAVE)


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
        screen.watch(lambda: "", 2, as_json=False)
