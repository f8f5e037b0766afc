"""Lines of a long command: each shown once, in order, and a short command's together."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.command import cmd
from opstasks.core.lines import lines_of
from opstasks.core.result import Result
from opstasks.fleet.line_tap import LineTap
from opstasks.shell.live import HOLD_S, LiveOutput


class Screen:
    """Keeps what is printed: (stream, host, line)."""

    def __init__(self):
        self.shown = []

    def lines(self, host, texts, *, prefixed):
        self.shown += [("out", host, text) for text in texts]

    def error_line(self, host, text, *, prefixed):
        self.shown.append(("err", host, text))


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def live(screen, clock):
    return LiveOutput(screen, prefixed=True, clock=lambda: clock.now)


def result(out, err=""):
    return Result("x", 0, out, err)


def test_a_short_command_is_shown_when_it_ends(live, screen, clock):
    live.take("tpp", b"one\n", b"")
    clock.now = HOLD_S / 2
    live.tick()
    assert screen.shown == []
    live.end("tpp", result("one\ntwo", "oops\n"))
    assert screen.shown == [("out", "tpp", "one"), ("out", "tpp", "two"), ("err", "tpp", "oops")]


def test_a_long_command_is_shown_while_it_runs(live, screen, clock):
    live.take("tpp", b"one\n", b"")
    clock.now = HOLD_S
    live.tick()
    assert screen.shown == [("out", "tpp", "one")]
    # From now on, each line at once.
    live.take("tpp", b"", b"oops\n")
    live.tick()
    assert screen.shown[1:] == [("err", "tpp", "oops")]
    live.end("tpp", result("one\ntwo\n", "oops\n"))
    assert screen.shown[2:] == [("out", "tpp", "two")]


def test_after_ctrl_c_or_a_lost_connection_the_lines_that_wait_are_shown(live, screen):
    live.take("tpp", b"one\n", b"")
    live.take("emis", b"two\n", b"")
    live.flush("tpp")
    assert screen.shown == [("out", "tpp", "one")]
    live.flush_all()
    live.flush("never heard of")
    assert screen.shown[1:] == [("out", "emis", "two")]


BYTES = st.lists(
    st.sampled_from([b"a", b"\n", b"\xc3\xa9", b"\xc3", b"\xff", b"\0", b"\r\n", b"\xe2\x80\xa8"]),
    max_size=20,
).map(b"".join)


@given(BYTES, BYTES, st.lists(st.integers(1, 5), max_size=20), st.data())
def test_every_line_is_shown_once_however_the_network_cuts_it(out, err, sizes, data):
    """Together with the end mark and the output of the next command."""
    screen, clock = Screen(), SimpleNamespace(now=0.0)
    live = LiveOutput(screen, prefixed=True, clock=lambda: clock.now)
    tap = LineTap.of(cmd("x").passing_on(lambda *lines: live.take("tpp", *lines)), "ops00")
    wire = [out + b"\0ops00 0\0next\n", err + b"\0ops00\0next\n"]
    buffers = [bytearray(), bytearray()]
    for size in [*sizes, *([1000] if sizes else [])]:
        for buffer, data_left in zip(buffers, wire, strict=True):
            buffer += data_left[len(buffer) : len(buffer) + size]
        tap.look(*buffers)
        if data.draw(st.booleans()):
            clock.now += HOLD_S
            live.tick()
    decoded = [text.decode("utf-8", "surrogateescape") for text in (out, err)]
    live.end("tpp", result(*decoded))
    for stream, text in zip(("out", "err"), decoded, strict=True):
        assert [line for kind, _, line in screen.shown if kind == stream] == lines_of(text)


def test_a_command_that_wants_no_lines_has_no_tap():
    assert LineTap.of(cmd("x"), "ops00") is None
