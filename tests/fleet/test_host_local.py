"""The host suite on this machine."""

import pytest

from opstasks.core.command import Command, Raw, cmd
from opstasks.core.errors import CommandFailed, Lost, Unreachable
from opstasks.core.result import Result
from opstasks.fleet.host import Host, check
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.local import LocalTransport
from tests.host_suite import HostSuite


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = []

    def _make():
        spec = HostSpec(name="here", address="localhost", lock_dir=str(tmp_path), local=True)
        made.append(Host(spec, connect=lambda spec: LocalTransport()))
        return made[-1]

    yield _make
    for host in made:
        host.close()


@pytest.fixture
def host(make):
    return make()


@pytest.fixture
def other(make):
    return make()


class TestLocal(HostSuite):
    """Everything, over a local shell."""


class Slow(LocalTransport):
    """A broken connection that reports for a while that it is alive, as paramiko does."""

    cut = False

    def start(self, line):
        if self.cut:
            raise Unreachable("connection lost")
        return super().start(line)


def test_a_broken_connection_is_not_used_twice(tmp_path):
    spec = HostSpec(name="here", address="localhost", lock_dir=str(tmp_path), local=True)
    made = []

    def connect(spec):
        made.append(Slow())
        return made[-1]

    host = Host(spec, connect=connect)
    host.transport.cut = True
    with pytest.raises(Unreachable):
        host.login.run(cmd("true"))
    assert host.login.output(cmd("echo", "again")) == "again"
    host.transport.cut = True
    host.login.close()
    with host.changing():  # the lock went with the connection: never a second one in a change
        for _ in range(2):
            with pytest.raises(Lost):
                host.login.run(cmd("true"))
    assert len(made) == 2
    assert host.login.test(cmd("true"))
    host.close()


def test_a_shell_that_was_closed_is_a_lost_connection():
    process = LocalTransport().start("exec cat")
    process.close()
    with pytest.raises(OSError):
        process.write(b"x")


class Closed:
    """A pipe that another thread closes just now."""

    closed = False

    def fileno(self):
        raise ValueError("I/O operation on closed file")


def test_a_shell_that_is_closed_during_a_heartbeat_does_not_end_the_heartbeats():
    process = LocalTransport().start("exec cat")
    stdin, process._stdin = process._stdin, Closed()
    assert not process.is_writable()
    process._stdin = stdin
    process.close()


def test_a_stream_that_is_lost_in_a_change_is_unknown(host):
    ends = cmd(Raw("kill -9 $$ $BASHPID"))
    with pytest.raises(Unreachable, match="connection lost") as error:
        host.login.stream(ends, lambda data: None)
    assert error.value.hint
    with pytest.raises(Lost):
        host.login.stream(ends.changing(), lambda data: None)
    with host.changing(), pytest.raises(Lost):
        host.login.stream(ends, lambda data: None)


@pytest.mark.parametrize(
    ("words", "named"),
    [(("",), "command"), ((" ",), "command"), (("a b", "c"), "a"), ((), "command")],
)
def test_a_command_without_a_name_that_fails_has_an_error_too(words, named):
    command = Command(words)
    with pytest.raises(CommandFailed, match=f"^tpp: {named} failed with exit code 127"):
        check(Result(command.line(), 127, "", "no such command"), command, "tpp")
