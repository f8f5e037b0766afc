"""How a framed shell starts, when the login shell and sudo do unusual things."""

import contextlib
import os
import threading
import time

import pytest

from opstasks.core.command import Secret, cmd
from opstasks.core.errors import InvalidResponse, Lost, NoShell, Refused, Unreachable
from opstasks.fleet import session as session_module
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.local import LocalTransport
from opstasks.fleet.session import Session


class StartUpFile(LocalTransport):
    """A login shell with a start-up file: `text` runs first."""

    def __init__(self, text):
        self.text = text

    def start(self, line):
        return super().start(f"{self.text}\n{line}")

    def answers(self, timeout_s):
        return True


@pytest.fixture
def started():
    """Start a framed shell: `started("start-up text")`."""
    opened = []

    def start(text="", *, user="", sudo="ask", password=lambda: None):
        def passwords(host):
            return contextlib.nullcontext(password())

        opened.append(Session(StartUpFile(text), "tpp", user, sudo, passwords))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(session_module, "START_S", 0.5)


NOISY = (
    "echo welcome; echo warning >&2; printf '\\0\\1\\377\\0ops 3\\0' | tee /dev/stderr; set -x",
    "(sleep 0.2; echo late >&2) & echo; echo 'ready:ops'; printf 'no line end'",
)


@pytest.mark.parametrize("text", NOISY)
def test_what_a_start_up_file_prints_is_not_output(started, text):
    (first, second) = started(text).batch([cmd("echo", "x"), cmd("echo", "y")])
    assert (first.out, second.out) == ("x\n", "y\n")
    assert first.err.replace("late\n", "") == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo one; echo This account is closed. >&2; exit 1", "one / This account is closed."),
        ("exit 3", "closed without a message"),
        ("yes x | head -c 100000; exit 1", "no shell on the host: x / x / x"),
    ],
)
def test_a_login_shell_that_ends_is_an_error_with_what_it_said(started, text, said):
    with pytest.raises(NoShell, match=said) as error:
        started(text).batch([cmd("true")])
    assert len(error.value.message) < 400
    assert error.value.outcome == "unreachable"


def test_a_login_shell_that_hangs_is_an_error_with_what_it_said(started, soon):
    session = started("echo waiting for the home directory; sleep 1.5")
    with pytest.raises(NoShell) as error:
        session.batch([cmd("true")])
    assert error.value.message == "no shell within 0.5 s; it said: waiting for the home directory"


def test_a_login_shell_that_hangs_silently_is_an_error(started, soon):
    with pytest.raises(NoShell, match=r"no shell within 0\.5 s, and it said nothing"):
        started("sleep 1").batch([cmd("true")])


def test_without_an_answer_it_is_not_certain_that_nothing_was_run(started, soon, monkeypatch):
    """The network may have died after the commands had arrived."""
    monkeypatch.setattr(StartUpFile, "answers", lambda self, timeout_s: False)
    with pytest.raises(Unreachable, match=r"no shell within 0\.5 s") as error:
        started("sleep 1").batch([cmd("true")])
    assert not isinstance(error.value, NoShell)


def test_a_shell_that_has_begun_may_have_run_what_was_sent(started, soon):
    with pytest.raises(Unreachable, match="connection lost") as error:
        started("exec 2>/dev/null").batch([cmd("true")])
    assert not isinstance(error.value, NoShell)


def test_a_connection_that_ends_between_two_marks_is_lost_at_once(started):
    session = started()
    assert session.evaluate("true").code == 0
    with pytest.raises(Unreachable, match="connection lost") as error:
        session.evaluate('printf() { builtin printf "$@"; exit; }', timeout_s=1)
    assert error.value.hint


def test_a_start_up_file_that_reads_the_input_is_named(started, tmp_path):
    canary = tmp_path / "canary"
    with pytest.raises(NoShell, match=r"start-up file .* reads standard input"):
        started("read -r answer").batch([cmd("touch", canary)])
    assert not canary.exists()


def test_a_shell_that_did_not_start_did_not_run_a_change(tmp_path):
    """Its state is known, but not in the middle of a change."""
    spec = HostSpec(name="tpp", address="tpp", lock_dir=str(tmp_path), local=True)
    host = Host(spec, connect=lambda spec: StartUpFile("echo closed; exit 1"))
    with pytest.raises(NoShell):
        host.login.run(cmd("true").changing())
    with host.changing(), pytest.raises(Lost):
        host.login.run(cmd("true"))
    with pytest.raises(NoShell) as error:
        host.login.open()
    assert error.value.hint
    assert not host.login.is_open
    with pytest.raises(NoShell):
        host.prove(host.transport.current_user())


def test_a_lost_connection_at_the_start_says_nothing_about_the_commands(started, monkeypatch):
    monkeypatch.setattr(StartUpFile, "is_alive", lambda self: False)
    with pytest.raises(Unreachable, match="connection lost") as error:
        started("exit 1").batch([cmd("true")])
    assert not isinstance(error.value, NoShell)


@pytest.mark.parametrize("number", ["-1", "257", "x", "9" * 5000])
def test_a_wrong_exit_code_is_an_invalid_response(started, number):
    """The host is hostile: it answers with its own end mark."""
    session = started()
    text = "printf() { builtin printf \"${1/'%d'/" + number + '}" "${@:2}"; }'
    assert session.evaluate("true").code == 0
    with pytest.raises(InvalidResponse, match="end mark"):
        session.evaluate(text)


def test_another_thread_learns_the_process_id(started):
    session, found = started("sleep 0.3"), []
    waiting = threading.Thread(target=lambda: found.append(session.wait_for_pid(10)))
    waiting.start()
    session.batch([cmd("true")])
    waiting.join()
    assert found == [session.pid]
    assert found[0] > 1


def test_a_shell_that_does_not_start_has_no_process_id(started):
    session = started("exit 1")
    with pytest.raises(NoShell):
        session.ready()
    assert session.wait_for_pid(10) == 0


def test_an_idle_shell_starts_with_the_first_heartbeat(started, tmp_path):
    session = started()
    session.heartbeat()
    session.heartbeat()
    assert session.evaluate("echo x").out == "x\n"


# -- sudo ------------------------------------------------------------------------------------

SUDO = """#!/bin/bash
# Like sudo -S: asks on standard error, reads one line, then becomes the program.
mode=$1; shift
[ "$mode" = -S ] && { prompt=${2//%%/%}; shift 2; }
shift 2
[ "$1" = -- ] && shift
IFS= read -r -t 0.5 -N 1 early && { printf '%s' "$early" >"$LOG.early"; }
if [ "$mode" = -S ] && [ -n "$PASSWORD" ]; then
  for try in 1 2; do
    printf '%s' "$prompt" >&2
    IFS= read -r answer; echo "$answer" >>"$LOG.given"
    [ "$answer" = "$PASSWORD" ] && exec "$@"
    echo 'Sorry, try again.' >&2
  done
  exit 1
fi
exec "$@"
"""


@pytest.fixture
def fake_sudo(tmp_path, monkeypatch):
    """A `sudo` that asks for "right", and writes down what arrived before and after it asked."""
    (tmp_path / "sudo").write_text(SUDO)
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PASSWORD", "right")
    return tmp_path


@pytest.mark.parametrize("text", ["", "set -x", "set -xv"])
def test_nothing_is_sent_before_sudo_asks(started, fake_sudo, text):
    """Not even when the login shell repeats its command line, with the prompt in it."""
    session = started(text, user="root", password=lambda: Secret("right"))
    assert session.evaluate("echo x").out == "x\n"
    assert not (fake_sudo / "log.early").exists()
    assert given(fake_sudo) == "right"


def test_nothing_is_sent_before_a_sudo_that_does_not_ask_is_done(started, fake_sudo, monkeypatch):
    monkeypatch.setenv("PASSWORD", "")
    session = started(user="root", password=lambda: pytest.fail("asked"))
    assert session.evaluate("echo x").out == "x\n"
    assert not (fake_sudo / "log.early").exists()


def given(folder):
    """What was typed, without the end of the input."""
    log = folder / "log.given"
    return log.read_text().strip() if log.exists() else ""


def test_a_wrong_password_is_given_once(started, fake_sudo):
    with pytest.raises(Refused, match="did not accept"):
        started(user="root", password=lambda: Secret("wrong"))
    assert given(fake_sudo) == "wrong"


def test_without_a_password_nothing_is_given(started, fake_sudo):
    with pytest.raises(Refused, match="not a terminal"):
        started(user="root")
    assert given(fake_sudo) == ""


def test_sudo_that_gives_up_while_the_person_types_is_refused(started, fake_sudo):
    gives_up = 'printf %s "${3//%%/%}" >&2; echo sudo: timed out reading password >&2; exit 1'
    (fake_sudo / "sudo").write_text(f"#!/bin/bash\n{gives_up}\n")

    def types_slowly():
        time.sleep(1)
        return Secret("right")

    with pytest.raises(Refused, match="timed out reading password"):
        started(user="root", password=types_slowly)


def test_sudo_that_hangs_is_an_error_with_what_was_said(started, soon):
    with pytest.raises(NoShell, match=r"within 0\.5 s; it said: hello"):
        started("echo hello; sleep 2", user="root")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sudo: unknown user: opensafely", "account opensafely does not exist"),
        ("sudo: a password is required", "may not become opensafely: sudo: a password"),
        (
            "Sorry, user a is not allowed to execute '/usr/bin/bash -c x' as opensafely on tpp.",
            "may not become opensafely: Sorry, user a is not allowed to execute it as opensafely",
        ),
    ],
)
def test_what_sudo_refuses_is_refused_with_its_words(started, fake_sudo, words, said):
    (fake_sudo / "sudo").write_text(f'#!/bin/sh\necho "{words}" >&2; exit 1\n')
    with pytest.raises(Refused, match=said):
        started(user="opensafely", sudo="nopasswd").batch([cmd("true")])
    with pytest.raises(Refused, match=said):
        started("echo welcome to sudo", user="opensafely")
