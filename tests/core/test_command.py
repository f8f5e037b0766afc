"""Commands render to exactly the intended shell words."""

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.command import Raw, Secret, cmd, pipe

WORDS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40)


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_the_shell_returns_every_argument_unchanged(words):
    assert shlex.split(cmd("printf", *words).line())[1:] == words


@given(st.lists(WORDS, max_size=4))
def test_bash_accepts_every_quoted_argument(words):
    line = cmd("python3", "-c", "import sys; print(ascii(sys.argv[1:]))", *words).line()
    # One process for each example is slow, so only check how bash itself reads the words.
    assert subprocess.run(["bash", "-n", "-c", line], check=False).returncode == 0


def test_raw_text_is_not_quoted():
    assert cmd("echo", Raw('"$HOME"'), "$HOME").line() == "echo \"$HOME\" '$HOME'"


def test_a_nul_byte_is_refused():
    with pytest.raises(ValueError, match="NUL"):
        cmd("echo", "a\0b")


def test_a_pipe_joins_commands_and_keeps_mutates():
    joined = pipe(cmd("a"), cmd("rm", "x").changing())
    assert joined.line() == "set -o pipefail; a | rm x"
    assert joined.mutates


def test_standard_input_cannot_be_joined():
    with pytest.raises(ValueError, match="standard input"):
        pipe(cmd("a", stdin="x"), cmd("b"))


def test_a_secret_never_prints():
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {cmd('x', stdin=secret)!r}"
