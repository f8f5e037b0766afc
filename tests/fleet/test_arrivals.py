"""Waiting on a channel never misses data, in whatever order it arrives."""

import os
import threading
from types import SimpleNamespace

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko.buffered_pipe import BufferedPipe

from opstasks.fleet.arrivals import Arrivals, selectable, watch
from opstasks.fleet.ssh import SSHProcess


def channel():
    """A channel of paramiko, as far as its two streams go."""
    out, err = BufferedPipe(), BufferedPipe()
    return SimpleNamespace(
        in_buffer=out,
        in_stderr_buffer=err,
        closed=False,
        eof_received=False,
        recv_ready=out.read_ready,
        recv_stderr_ready=err.read_ready,
        recv=out.read,
        recv_stderr=err.read,
    )


class Feeding:
    """Feeds one stream at the moment when the other is being emptied."""

    def __init__(self, inner, stream):
        self.inner, self.stream = inner, stream

    def set(self):
        self.inner.set()

    def clear(self):
        self.inner.clear()
        self.stream.feed(b"late")


@pytest.mark.parametrize("first", ["out", "err"])
def test_data_that_comes_while_the_other_stream_is_emptied_wakes_the_reader(first):
    made = channel()
    streams = {"out": made.in_buffer, "err": made.in_stderr_buffer}
    emptied = streams.pop(first)
    (other,) = streams.values()
    arrivals = Arrivals(made)
    emptied.feed(b"early")
    emptied.set_event(Feeding(arrivals, other))
    arrivals.wait(0)
    emptied.read(100)  # paramiko clears its event here, and the other stream is filled
    assert arrivals._event.is_set()
    assert other.read_ready()


@pytest.mark.parametrize("first", ["out", "err"])
def test_data_that_comes_while_the_other_stream_is_emptied_wakes_a_terminal(first):
    made = channel()
    streams = {"out": made.in_buffer, "err": made.in_stderr_buffer}
    emptied = streams.pop(first)
    (other,) = streams.values()
    with selectable(made) as arrivals:
        emptied.feed(b"early")
        emptied.set_event(Feeding(arrivals, other))
        assert arrivals.wait([]) == [arrivals.fileno()]
        emptied.read(100)
        assert arrivals.wait([]) == [arrivals.fileno()]


def test_a_closed_terminal_is_never_written_to_again():
    made = channel()
    with selectable(made) as arrivals:
        pass
    reader, writer = os.pipe()  # may have the same numbers
    made.in_buffer.feed(b"late")
    arrivals.set()
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    os.close(reader)
    os.close(writer)


@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=200_000)), max_size=6))
def test_a_reader_gets_everything_and_then_the_end(parts):
    made = channel()
    process = SSHProcess(made)
    sent = {True: b"", False: b""}

    def feed():
        for is_error, data in parts:
            (made.in_stderr_buffer if is_error else made.in_buffer).feed(data)
        made.eof_received = True
        made.in_buffer.close()
        made.in_stderr_buffer.close()

    for is_error, data in parts:
        sent[is_error] += data
    feeder = threading.Thread(target=feed)
    feeder.start()
    out, err, ended = b"", b"", False
    while not ended:
        more, more_err, ended = process.read(30)
        out, err = out + more, err + more_err
    feeder.join()
    assert (out, err) == (sent[False], sent[True])


def test_the_end_is_seen_when_it_came_before_the_first_look():
    made = channel()
    made.closed = True
    made.in_buffer.close()
    made.in_stderr_buffer.close()
    assert SSHProcess(made).read(30) == (b"", b"", True)


def test_a_second_watcher_takes_over_at_once():
    made = channel()
    made.in_buffer.feed(b"x")
    first, second = Arrivals(made), Arrivals(made)
    watch(made, second)
    second.wait(30)  # returns at once: the stream has data
    assert first is not second


@pytest.mark.parametrize("error", [EOFError, BrokenPipeError, paramiko.SSHException])
def test_a_connection_that_is_lost_while_reading_is_the_end(error):
    def fail(size):
        raise error("lost")

    made = channel()
    made.in_buffer.feed(b"x")
    made.in_stderr_buffer.feed(b"y")
    made.recv_stderr = fail
    process = SSHProcess(made)
    assert process.read(30) == (b"x", b"", False)
    assert process.read(30) == (b"", b"", True)
