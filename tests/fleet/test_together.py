"""Several programs in one process: each gives the same answer as alone."""

import json
import subprocess
import sys
from dataclasses import replace

import msgspec
import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import CommandFailed, InvalidResponse, ProgramFailed, Refused, TimedOut
from opstasks.core.result import Result
from opstasks.deploy import release
from opstasks.fleet import together
from opstasks.fleet.program import PYTHON, Program
from opstasks.jobs import read as jobs

LIST = release.RELEASES
OK = '{"ok": {"releases": []}}'


class Nothing(msgspec.Struct):
    """A request without fields."""


WITHOUT_MAIN = Program("opstasks.onhost.flock", Nothing, Nothing)


class LocalShell:
    """Runs commands here, as a host does; keeps what was run."""

    def __init__(self):
        self.ran = []

    def batch(self, commands):
        self.ran += commands
        return [self._run(command) for command in commands]

    def gather(self, commands):
        return dict(zip(commands, self.batch(list(commands.values())), strict=True))

    def _run(self, command):
        words = [sys.executable if word == "python3" else word for word in command.args]
        text = command.stdin.value if command.stdin else ""
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
        return Result(command.line(), done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shell():
    return LocalShell()


@pytest.fixture
def commands(tmp_path):
    """Two commands, a program that answers, one that is refused, one that fails."""
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / "r1.json").write_text('{"who": "alice", "outcome": "deployed"}')
    asked = release.ReleasesRequest(str(tmp_path), 5)
    request = jobs.JobsRequest(str(tmp_path / "none.sqlite"), jobs.JobSelection(), 5)
    return {
        "first": cmd("echo", "one"),
        "jobs": jobs.READ.command(request),
        "broken": WITHOUT_MAIN.command(Nothing()),
        "last": cmd("false"),
        "releases": LIST.command(asked),
    }


def test_each_program_has_the_answer_that_it_has_alone(shell, commands):
    found = together.gather(shell, commands)
    assert sorted(found) == sorted(commands)
    assert (found["first"].text, found["last"].code) == ("one", 1)
    assert [item.who for item in LIST.decode(found["releases"], "tpp").releases] == ["alice"]
    with pytest.raises(Refused) as alone:
        jobs.READ.decode(shell.batch([commands["jobs"]])[0], "tpp")
    with pytest.raises(Refused) as beside:
        jobs.READ.decode(found["jobs"], "tpp")
    assert beside.value.message == alone.value.message
    with pytest.raises(ProgramFailed, match="main"):
        WITHOUT_MAIN.decode(found["broken"], "tpp")


def test_the_programs_run_in_one_process_after_the_other_commands(shell, commands):
    together.gather(shell, commands)
    first, last, programs = shell.ran
    assert (first, last) == (commands["first"], commands["last"])
    assert programs.args == (*PYTHON, "jobs.read+onhost.flock+deploy.releases")
    assert programs.timeout_s == sum(
        commands[name].timeout_s for name in ("jobs", "broken", "releases")
    )


def test_a_single_program_is_sent_as_usual(shell, commands):
    few = {"first": commands["first"], "releases": commands["releases"]}
    together.gather(shell, few)
    assert shell.ran == list(few.values())


def test_a_program_that_changes_something_has_its_own_process(shell, commands):
    commands["broken"] = replace(commands["broken"], mutates=True)
    together.gather(shell, commands)
    assert [command.args[-1] for command in shell.ran[:2]] == ["one", "onhost.flock"]


def apart(out, code=0, elapsed_s=0.0, count=3):
    command = LIST.command(release.ReleasesRequest("/x", 5))
    return together.apart([command] * count, Result("", code, out, "killed", elapsed_s))


def test_answers_before_the_process_was_stopped_count():
    done, cut, missing = apart(f"{OK}\n{OK[:-3]}", 124, elapsed_s=LIST.timeout_s * 3)
    assert LIST.decode(done, "tpp").releases == ()
    for result in (cut, missing):
        with pytest.raises(TimedOut):
            LIST.decode(result, "tpp")


def test_a_process_that_was_killed_is_the_failure_of_those_without_an_answer():
    done, missing = apart(f"{OK}\n", 137, count=2)
    assert LIST.decode(done, "tpp").releases == ()
    with pytest.raises(CommandFailed, match="137"):
        LIST.decode(missing, "tpp")


@pytest.mark.parametrize("out", ["", "\n", "x\n", f"{OK}", '{"ok": 1}\n' * 9, "\x00\n\n\n\n"])
def test_nonsense_is_an_invalid_response_for_each_program(out):
    for result in apart(out):
        with pytest.raises(InvalidResponse):
            LIST.decode(result, "tpp")


def test_parts_of_an_answer_do_not_count_as_answers():
    part = json.dumps({"part": "one"})
    for result in apart(f"{part}\n{OK}\n{OK}\n{part}\n{OK}\n"):
        assert LIST.decode(result, "tpp").releases == ()
