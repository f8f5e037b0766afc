"""After the first action of a change, nothing is "refused" any more."""

import contextlib
from dataclasses import replace

import msgspec
import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import FAILED, REFUSED, Incomplete, OpsError, Refused
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.program import Program
from tests.fake_host import ANY, Reply, answered, failed, refused


class Question(msgspec.Struct):
    """A request without a value."""


class Done(msgspec.Struct):
    """An answer without a value."""


CHANGES = Program("opstasks.locks.onhost.stop", Question, Done, changes=True)
READS = replace(CHANGES, changes=False)
TOUCH, LOOK = cmd("touch", "x").changing(), cmd("ls", "x")


@pytest.fixture(autouse=True)
def audit_file(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return audit.local_path()


def call(shell, program):
    """Run a program; its answer does not matter here."""
    with contextlib.suppress(OpsError):
        shell.call(program, Question())


# How a step is run, what it is, and what the host replies.
ACTIONS = {
    "a command": (lambda s: s.run(TOUCH), TOUCH, Reply()),
    "a command that fails": (lambda s: s.test(TOUCH), TOUCH, Reply(1)),
    "a batch": (lambda s: s.batch([TOUCH]), TOUCH, Reply()),
    "a stream": (lambda s: s.stream(TOUCH, lambda data: None), TOUCH, Reply()),
    "a command with a record": (lambda s: s.enclosed(TOUCH, "", ""), TOUCH, Reply()),
    "a program": (lambda s: call(s, CHANGES), CHANGES, answered(Done())),
    "a program that fails": (lambda s: call(s, CHANGES), CHANGES, failed("disk full")),
    "a program that is killed": (lambda s: call(s, CHANGES), CHANGES, Reply(137)),
    "a program without an answer": (lambda s: call(s, CHANGES), CHANGES, Reply(out="?")),
}
NO_ACTIONS = {
    "a command that reads": (lambda s: s.run(LOOK), LOOK, Reply()),
    "a program that reads": (lambda s: call(s, READS), READS, answered(Done())),
    "a program that refuses": (lambda s: call(s, CHANGES), CHANGES, refused("busy")),
}


def refused_after(host, step):
    """The error of a change that does one step and is then refused."""
    act, what, reply = step
    host.expect_lock("pause")
    if isinstance(what, Program):
        host.expect(what, ANY, reply)
    else:
        host.expect(what, reply)
    with pytest.raises(OpsError) as caught, change(host.service, "pause"):
        act(host.service)
        raise Refused("the database is locked", hint="wait")
    return caught.value


@pytest.mark.parametrize("step", ACTIONS)
def test_a_refusal_after_an_action_is_a_failure(fake_host, audit_file, step):
    error = refused_after(fake_host(), ACTIONS[step])
    assert (type(error), error.exit_code, error.outcome) == (Incomplete, FAILED, "failed")
    assert error.message == "the change is not complete: the database is locked"
    assert (error.host, error.hint) == ("tpp", "wait")
    assert '"outcome": "failed"' in audit_file.read_text()


@pytest.mark.parametrize("step", NO_ACTIONS)
def test_a_refusal_before_any_action_means_that_nothing_was_touched(fake_host, step):
    error = refused_after(fake_host(), NO_ACTIONS[step])
    assert (type(error), error.exit_code) == (Refused, REFUSED)


def test_what_an_earlier_change_did_does_not_count(fake_host):
    host = fake_host()
    host.expect_lock("pause")
    host.expect(TOUCH)
    with change(host.service, "pause"):
        host.service.run(TOUCH)
    error = refused_after(host, NO_ACTIONS["a command that reads"])
    assert type(error) is Refused
