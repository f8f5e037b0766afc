"""Before a program gets the terminal: sudo is answered once, and nothing else is."""

import contextlib
import os
import threading
from functools import partial
from types import SimpleNamespace

import pytest
from paramiko.buffered_pipe import BufferedPipe

from opstasks.core.command import Secret
from opstasks.core.errors import Refused, Unreachable
from opstasks.fleet import terminal

TOKEN = "ops00"
PROMPT, READY = b"ops00%password:", b"ops00:ready"


class Channel:
    """A channel on which the other side sends these parts."""

    def __init__(self, *parts):
        self.parts, self.sent = list(parts), []

    def settimeout(self, seconds):
        pass

    def recv(self, size):
        if not self.parts:
            raise TimeoutError
        return self.parts.pop(0)

    def sendall(self, data):
        self.sent.append(data)


def host_with(sudo="ask", login="me"):
    return SimpleNamespace(
        name="tpp",
        spec=SimpleNamespace(sudo=sudo, service_user="opensafely"),
        transport=SimpleNamespace(current_user=lambda: login),
        passwords=lambda name: contextlib.nullcontext(Secret("sesame")),
    )


def begin(*parts, user="opensafely", **settings):
    channel = Channel(*parts)
    return channel, terminal._Beginning(channel, host_with(**settings), user, TOKEN).wait


def test_sudo_is_answered_and_its_output_is_not_shown():
    channel, start = begin(b"a lecture\r\nops00%pass", b"word:", b"\r\n***\r\n" + READY + b"$ ")
    assert start() == b"$ "
    assert channel.sent == [b"sesame\n"]


@pytest.mark.parametrize("parts", [[READY + PROMPT], [READY, PROMPT]])
def test_a_program_that_asks_like_sudo_gets_nothing(parts):
    channel, start = begin(*parts)
    start()
    assert channel.sent == []


@pytest.mark.parametrize(
    "settings",
    [
        {"sudo": "nopasswd"},
        {"sudo": ""},
        {"login": "root"},
        {"user": ""},
        {"login": "opensafely", "user": "root"},
    ],
)
def test_a_question_is_not_answered_where_sudo_cannot_ask(settings):
    channel, start = begin(b"x", PROMPT, PROMPT, READY, **settings)
    start()
    assert channel.sent == []


def test_a_login_shell_that_repeats_the_command_line_does_not_start_the_program():
    line = terminal._line(host_with(), ["true"], "opensafely", TOKEN).encode()
    channel, start = begin(b"+ " + line, PROMPT, READY + b"$ ")
    assert PROMPT not in line
    assert READY not in line
    assert start() == b"$ "
    assert channel.sent == [b"sesame\n"]


def test_output_without_end_before_the_program_is_given_up():
    with pytest.raises(Unreachable, match="did not start"):
        begin(*[b"x" * terminal.CHUNK] * 1000)[1]()


def test_a_second_question_means_that_the_password_was_wrong():
    channel, start = begin(PROMPT, b"\r\nSorry, try again.\r\n" + PROMPT)
    with pytest.raises(Refused, match="did not accept the password"):
        start()
    assert channel.sent == [b"sesame\n"]


def test_a_program_that_does_not_start_is_reported():
    with pytest.raises(Refused, match="does not exist"):
        begin(b"sudo: unknown user opensafely\r\n", b"")[1]()
    with pytest.raises(Unreachable, match="closed without a message"):
        begin(b"")[1]()
    with pytest.raises(Unreachable, match="did not start within"):
        begin(b"hm")[1]()


def test_the_prompt_is_random_and_the_words_are_quoted():
    line = terminal._line(host_with(), ["echo", "a b"], "opensafely", TOKEN)
    assert "sudo -H -p ops00%%password: -u opensafely -- sh -c" in line
    assert line.endswith("ops00 echo 'a b'")
    for host in (host_with(sudo="nopasswd"), host_with(login="root")):
        assert "sudo -H -n -u" in terminal._line(host, ["true"], "opensafely", TOKEN)


class Ended:
    """A channel without more output."""

    def __init__(self, status, *, in_order):
        self.status, self.eof_received, self.closed = status, in_order, True
        self.in_buffer, self.in_stderr_buffer = BufferedPipe(), BufferedPipe()
        self.in_buffer.close()

    def recv_ready(self):
        return False

    def recv_exit_status(self):
        return self.status


def test_a_broken_connection_is_not_an_exit_code(monkeypatch):
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        never, _ = os.pipe()
        assert terminal._join(Ended(7, in_order=True), never, "tpp") == 7
        assert terminal._join(Ended(-1, in_order=True), never, "tpp") == -1  # a signal ended it
        with pytest.raises(Unreachable, match="lost"):
            terminal._join(Ended(-1, in_order=False), never, "tpp")


class EndedWithOutput(Ended):
    """A channel that was closed just after its last output."""

    def recv_ready(self):
        return self.in_buffer.read_ready()

    def recv(self, size):
        return self.in_buffer.read(size)


def test_an_end_that_arrives_with_the_last_output_is_noticed(monkeypatch):
    channel, found = EndedWithOutput(7, in_order=True), []
    channel.in_buffer.feed(b"logout")
    never, writer = os.pipe()
    with open(never, "rb") as quiet, open(writer, "wb"), open(os.devnull, "w") as nothing:
        monkeypatch.setattr("sys.stdin", quiet)
        monkeypatch.setattr("sys.stdout", nothing)
        work = partial(terminal._join, channel, never, "tpp")
        thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
        thread.start()
        thread.join(10)
        assert found == [7]


@pytest.mark.parametrize(("closed", "has_status"), [(False, False), (False, True), (True, False)])
def test_the_end_of_the_output_is_not_the_end_of_the_program(closed, has_status):
    """The person's keys are passed on meanwhile; otherwise not even ~. would end it."""
    made = SimpleNamespace(
        closed=closed,
        eof_received=True,
        exit_status_ready=lambda: has_status,
        recv_ready=lambda: False,
    )
    assert terminal._copy(made) == (not closed and not has_status)


@pytest.mark.parametrize("error", [OSError("Socket is closed"), EOFError()])
def test_a_key_that_is_typed_while_the_connection_is_lost_is_no_defect(error):
    def sendall(data):
        raise error

    terminal._send(SimpleNamespace(sendall=sendall), b"x")
