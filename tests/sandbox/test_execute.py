"""A program's input and output over one connection, with this process at the other end."""

import socket
import struct
import time
from threading import Thread

import pytest

from opstasks.sandbox.execute import ExecOutput, converse


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def frame(stream, data):
    return struct.pack(">BxxxL", stream, len(data)) + data


def test_output_is_collected_by_stream_and_input_comes_after_the_gates_line(ends):
    ours, theirs = ends
    received = []

    def serve():
        while data := theirs.recv(65536):
            received.append(data)
        for part in (frame(1, b"a\n"), frame(2, b"problem\n"), frame(1, b""), frame(1, b"b\n")):
            theirs.sendall(part)
        theirs.shutdown(socket.SHUT_WR)

    Thread(target=serve, daemon=True).start()
    output = ExecOutput()
    converse(ours.fileno(), b"hello", output, time.monotonic() + 10)
    assert b"".join(received) == b"\nhello"
    assert (output.text(1), output.text(2)) == ("a\nb\n", "problem\n")


def test_a_program_need_not_read_its_input(ends):
    ours, theirs = ends
    theirs.sendall(frame(1, b"done"))
    theirs.shutdown(socket.SHUT_WR)
    output = ExecOutput()
    converse(ours.fileno(), b"x" * 10_000_000, output, time.monotonic() + 10)
    assert output.text(1) == "done"


@pytest.mark.parametrize("sent", [b"", frame(1, b"abc")[:-1], b"\x01\x00"])
def test_a_connection_that_ends_within_a_part_ends_the_output(ends, sent):
    ours, theirs = ends
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    output = ExecOutput()
    converse(ours.fileno(), b"", output, time.monotonic() + 10)
    assert output.text(1) == ""


def test_a_program_that_takes_too_long_is_an_error(ends):
    ours, _ = ends
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        converse(ours.fileno(), b"", ExecOutput(), began + 0.2)
    assert time.monotonic() - began < 5
