"""Processes that a step of a change leaves running: nothing runs beside them."""

import os
import signal
import sys
from pathlib import Path

import pytest

from opstasks.core.command import Raw, cmd
from opstasks.core.errors import CommandFailed, InvalidResponse, Lost, Refused
from opstasks.core.result import Result
from opstasks.fleet import leftover, lock
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.local import LocalTransport
from opstasks.fleet.marks import NOT_RUN

ROOT = Path(__file__).resolve().parents[2]
# Kills its own `timeout`: the parent of the command, or of the shell that keeps sudo's lock.
ORPHANED = 'kill -9 $PPID; sleep 2; echo done >"$1"'
CALLS = (
    "import os, sys; sys.path.insert(0, sys.argv[2]); os.environ['CALLER'] = str(os.getpid());"
    " from opstasks.onhost.commands import call;"
    " call('sh', '-c', {!r}, 'sh', sys.argv[1])"
)
CALLER = 'kill -9 $CALLER; sleep 2; echo done >"$1"'
UNDER_SUDO = 'kill -9 $(ps -o ppid= -p $PPID); sleep 2; echo done >"$1"'
# What leaves a process running: the words of a step; it writes a file when it ends.
KINDS = {
    "its timeout is killed": ("sh", "-c", ORPHANED, "sh"),
    "its Python is killed, not what it calls": (sys.executable, "-c", CALLS.format(CALLER)),
    "its Python is killed, not sudo": (
        sys.executable,
        "-c",
        CALLS.format(CALLER).replace("call('sh'", "call('sudo', 'sh'"),
    ),
    "its timeout is killed, not sudo": ("sudo", "sh", "-c", UNDER_SUDO, "sh"),
    "a daemon with a session of its own": (
        "sh",
        "-c",
        'setsid sh -c \'sleep 2; echo done >"$1"\' sh "$1" >/dev/null 2>&1 &',
        "sh",
    ),
    "it does not stop when its time is over": (
        "sh",
        "-c",
        '(trap "" TERM; sleep 2; echo done >"$1") & wait',
        "sh",
    ),
}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Connections to this machine, where sudo needs no rights and closes what it inherits."""
    sudo = tmp_path / "bin" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text('#!/bin/bash\nexec 6>&- 7>&- 9>&-\nexec "$@"\n')
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sudo.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = []

    def _make():
        spec = HostSpec(name="here", address="localhost", lock_dir=str(tmp_path), local=True)
        told = []
        made.append(Host(spec, connect=lambda spec: LocalTransport(), observer=told.append))
        made[-1].told = told
        return made[-1]

    yield _make
    for host in made:
        host.close()


def step(kind, path):
    return cmd(*KINDS[kind], str(path), str(ROOT)).within(1).changing()


def waits(host):
    texts = [getattr(event, "text", "") for event in host.told]
    return [text for text in texts if text.startswith("wait until")]


@pytest.mark.parametrize("kind", KINDS)
def test_no_command_runs_beside_what_an_earlier_step_left(make, tmp_path, kind):
    host, end = make(), tmp_path / "end"
    with change(host.login, "deploy"):
        host.login.batch([step(kind, end)])
        assert not end.exists(), "it has ended already: this test proves nothing"
        assert host.login.output(cmd("cat", end)) == "done"
    assert len(waits(host)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_step_left_holds_the_lock_when_its_client_is_gone(make, tmp_path, kind):
    host, other, end = make(), make(), tmp_path / "end"
    begun = change(host.login, "deploy")
    begun.__enter__()
    host.login.batch([step(kind, end)])
    host.close()
    held = lock.parse_owner(other.login.output(lock.holder(other.spec)))
    assert not end.exists(), "it has ended already: this test proves nothing"
    assert held is not None
    assert held.task == "deploy"
    del begun


def test_commands_that_were_sent_together_keep_their_order(make, tmp_path):
    host, end, after = make(), tmp_path / "end", tmp_path / "after"
    commands = [
        cmd("echo", "first"),
        step("its timeout is killed", end),
        cmd(Raw(f"cat {end} >{after}")),
        cmd("cat", after),
    ]
    with change(host.login, "deploy"):
        results = host.login.batch(commands)
    assert [result.code for result in results] == [0, 137, 0, 0]
    assert [results[0].out, results[3].out] == ["first\n", "done\n"]


@pytest.fixture
def endless(make, tmp_path, monkeypatch):
    """A change with a step whose process does not end; yields the host, and the process's id."""
    monkeypatch.setattr(leftover, "WAIT_S", 0.5)
    host, pid = make(), tmp_path / "pid"
    script = f"echo $$ >{pid}; kill -9 $PPID; exec sleep 600"

    def begin():
        host.login.batch([cmd("sh", "-c", script).changing()])
        return int(pid.read_text())

    yield host, begin
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_the_outcome_is_unknown_when_what_was_left_does_not_end(endless, make, tmp_path):
    host, begin = endless
    canary = tmp_path / "canary"
    said = "an earlier step still runs .* nothing was undone"
    with pytest.raises(Lost, match=said) as lost, change(host.login, "deploy"):
        pid = begin()
        host.login.run(cmd("touch", canary))
    assert f"process {pid} (sleep 600)" in lost.value.message
    assert "lock.break" in lost.value.hint
    assert not canary.exists()
    # It holds the lock, and its owner is known, although the change has ended.
    with (
        pytest.raises(Refused, match=r"someone is changing it: .*, deploy"),
        change(make().login, "pause"),
    ):
        pass


def test_a_step_that_failed_has_not_failed_while_a_part_of_it_runs(endless):
    host, begin = endless
    with (
        pytest.raises(Lost, match=r"it failed; process .* still runs"),
        change(host.login, "deploy"),
    ):
        begin()
        raise CommandFailed("it failed", returned=1)


def test_a_step_that_failed_has_failed_when_all_of_it_has_ended(make, tmp_path):
    host, end = make(), tmp_path / "end"
    with pytest.raises(CommandFailed, match="it failed"), change(host.login, "deploy"):
        host.login.batch([step("its timeout is killed", end)])
        raise CommandFailed("it failed", returned=1)
    assert end.exists()


def test_the_lock_is_free_and_the_shell_usable_after_a_change(make, tmp_path):
    host = make()
    for number in range(3):
        with change(host.login, "deploy"):
            host.login.batch([step("its timeout is killed", tmp_path / f"end{number}")])
            host.login.run(cmd("true"))
        assert host.login.output(cmd("echo", "up")) == "up"
    assert len(waits(host)) == 3
    with change(make().login, "pause"):
        pass


# -- a host that lies --------------------------------------------------------------------------


class Liar:
    """A host that never runs a command."""

    def batch(self, commands):
        return [Result(command.line(), NOT_RUN, "", "") for command in commands]

    def evaluate(self, text):
        return Result("", 0, "", "")


def test_a_change_that_fails_and_leaves_nothing_running_does_not_wait(make):
    host = make()
    with pytest.raises(CommandFailed), change(host.login, "deploy"):
        host.login.run(cmd("false").changing())
    assert waits(host) == []


def test_a_connection_that_is_lost_after_a_failure_is_unknown(make):
    host = make()
    with pytest.raises(Lost, match="it failed; connection lost"), change(host.login, "deploy"):
        host.login.run(cmd("true").changing())
        os.kill(host.login.session.pid, signal.SIGKILL)
        raise CommandFailed("it failed", returned=1)


def test_a_host_that_never_runs_a_command_is_an_invalid_response():
    with pytest.raises(InvalidResponse, match="does not run a command"):
        leftover.in_turn(Liar(), [cmd("true"), cmd("true")], "tpp", print)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("12 git checkout \n", "process 12 (git checkout)"),
        ("12 git\n13 python3 -I\n", "process 12 (git) and 1 more"),
        ('{"ok": {}}\n12 git\n', "process 12 (git)"),
        ("", "a process"),
        ("x y\n99999999999 z", "a process"),
    ],
)
def test_processes_are_named(text, said):
    assert leftover.describe(text) == said
