"""A program that is killed on the host: no message shows its text or its request."""

import importlib
import os
import pkgutil
import subprocess
import sys

import msgspec
import pytest

import opstasks
from opstasks.core.command import Secret, cmd
from opstasks.fleet import framing, together
from opstasks.fleet.program import START_LINE, Program

TOKEN = "opstoken"
CANARY = "canary-opensesame"
# A python3 that is killed at once, or while it reads, or when it has read everything.
KILLED = {
    "at once": "kill -KILL $$",
    "while it reads": "head -c 300 >/dev/null; kill -KILL $$",
    "when it runs": "cat >/dev/null; kill -KILL $$",
    "by a crash": "cat >/dev/null; kill -SEGV $$",
}


class Request(msgspec.Struct):
    """Any request: a program does not look at it before it runs."""

    word: str = CANARY


def all_programs():
    """Every program that is declared in any module, by its name."""
    found = {}
    for info in pkgutil.walk_packages(opstasks.__path__, "opstasks."):
        if ".onhost" not in info.name and not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            found |= {v.name: v for v in vars(module).values() if isinstance(v, Program)}
    return found


PROGRAMS = all_programs()


@pytest.fixture
def shell(tmp_path):
    """The output of frames in a framed shell of this machine, with a python3 of its own."""

    def run(python, *frames):
        place = tmp_path / "python3"
        place.write_text(f"#!/bin/sh\n{python}\n")
        place.chmod(0o755)
        line = framing.start_line("", TOKEN, sudo="ask")
        process = subprocess.Popen(
            ["sh", "-c", line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"},
        )
        process.stdin.write(framing.start_frames(TOKEN) + b"".join(frames) + b"wait\0")
        return process.communicate(timeout=60)[0].decode()

    return run


def frames_of(name, program):
    """The program as a step, as a stream, and together with another one; each with its mark."""
    step = program.command(Request())
    pair = together.together([step, PROGRAMS["doctor.inspect"].command(Request())])
    return {
        "step": framing.frame(step, "step"),
        "enclosed": framing.frame(step, "enclosed", "true", "true"),
        "pair": framing.frame(pair, "pair"),
        "stream": framing.background_frame(program.stream_command(Request()), "stream"),
    }


def secrets_of(program):
    """Texts that no message may contain: the request, and every line of the text that was sent."""
    text = program.command(Request()).stdin.value
    return [CANARY, *(line[:40] for line in text.splitlines() if len(line) > 20)]


@pytest.mark.parametrize("how", KILLED)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_killed_program_leaves_no_text_in_a_message(shell, name, how):
    frames = frames_of(name, PROGRAMS[name])
    out = shell(KILLED[how], *frames.values())
    code = 139 if how == "by a crash" else 137
    assert [f"\0{mark} {code}\0" in out for mark in frames] == [True] * len(frames), out
    assert [text for text in secrets_of(PROGRAMS[name]) if text in out] == []
    assert "Killed" not in out
    assert "printf" not in out


@pytest.mark.parametrize("size", [0, 1, len(START_LINE) + 1, len(START_LINE) + 50, -5, -60])
@pytest.mark.parametrize("name", ["config.change", "jobs.read"])
def test_a_program_that_arrives_in_part_leaves_no_text_in_a_message(name, size):
    """Python prints a damaged line of its own text."""
    command = PROGRAMS[name].command(Request())
    words = [sys.executable, *command.args[1:]]
    text = command.stdin.value[: size if size >= 0 else len(command.stdin.value) + size]
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=30)
    assert done.stdout == ""
    assert [text for text in secrets_of(PROGRAMS[name])[2:] if text in done.stderr] == []


def test_a_killed_command_with_input_leaves_none_of_it_in_a_message(shell):
    step = cmd("sh", "-c", "kill -KILL $$", stdin=Secret(CANARY))
    out = shell("true", framing.frame(step, "m"), framing.background_frame(step, "n"))
    assert "\0m 137\0" in out
    assert "\0n 137\0" in out
    assert CANARY not in out
    assert "Killed" not in out


def test_a_shell_still_shows_what_a_command_writes_to_standard_error(shell):
    step = cmd("sh", "-c", "echo told >&2; exit 3")
    frames = [framing.frame(step, "m"), framing.background_frame(step, "n")]
    out = shell("true", *frames, framing.text_frame("echo evaluated >&2; (exit 4)", "o"))
    assert out.count("told\n") == 2
    assert "evaluated\n" in out
    assert all(f"\0{end}\0" in out for end in ("m 3", "n 3", "o 4"))


def test_the_process_list_shows_neither_program_nor_request():
    for program in PROGRAMS.values():
        for command in (program.command(Request()), program.stream_command(Request())):
            assert command.args[-1] == program.name
            assert len(command.line()) < 150, command.line()
            assert CANARY not in command.line()
