"""Frames, as a real bash on this machine reads them."""

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstasks.core.command import Raw, Secret, cmd
from opstasks.fleet import framing

TOKEN = "opstoken"
# Every argument that Python can pass to a program.
PLAIN = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
TEXT = PLAIN | st.builds(
    lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"), st.binary(max_size=60)
)


def encoded(text):
    return text.encode("utf-8", "surrogateescape")


def shell(data, env=None):
    """What the framed shell prints for this input, and its exit code."""
    line = framing.start_line("", TOKEN, sudo="ask")
    done = subprocess.run(
        ["sh", "-c", line],
        input=data,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", **(env or {})},
        timeout=30,
    )
    return done


def answers(*frames, env=None):
    """The output of each frame, from one shell that got them all."""
    done = shell(framing.start_frames(TOKEN) + b"".join(frames), env)
    _, *rest = done.stdout.split(f"\0{TOKEN} ".encode(), 1)[1].split(b"\0", 1)
    assert f"\0{TOKEN}\0".encode() in done.stderr
    return rest[0], done


@settings(max_examples=60)
@given(st.lists(TEXT, min_size=1, max_size=4), TEXT)
def test_every_argument_and_input_arrives_unchanged(words, stdin):
    told = cmd("printf", "%s\\0", *words)
    repeated = cmd("cat", stdin=stdin)
    out, _ = answers(
        framing.frame(told, "a"), b"\0", framing.frame(repeated, "b"), framing.frame(told, "c")
    )
    words_out = b"".join(encoded(word) + b"\0" for word in words)
    ends = [b"\0a 0\0", b"\0b 0\0", b"\0c 0\0"]
    assert out == words_out + ends[0] + encoded(stdin) + ends[1] + words_out + ends[2]


def test_long_input_arrives_unchanged_in_pieces():
    text = "".join(f"{number} é\n" for number in range(60_000))
    assert len(encoded(text)) > 3 * framing.PIECE_BYTES
    out, _ = answers(framing.frame(cmd("cat", stdin=text), "m"))
    assert out == encoded(text) + b"\0m 0\0"


@pytest.mark.parametrize("stdin", [None, "some input"])
def test_a_frame_that_arrives_in_part_never_runs(tmp_path, stdin):
    canary = tmp_path / "canary"
    frame = framing.frame(cmd(Raw(f"touch {canary}; : {'x' * 30}"), stdin=stdin), "m")
    start = framing.start_frames(TOKEN)
    for size in range(0, len(frame), 7):
        done = shell(start + frame[:size])
        assert not canary.exists(), frame[:size]
        assert b"\0m " not in done.stdout
        assert b"syntax" not in done.stderr
    shell(start + frame)
    assert canary.exists()


def test_what_remains_of_a_broken_frame_is_not_run(tmp_path):
    """A frame that is too short takes bytes of the next one."""
    canary = tmp_path / "canary"
    frame = framing.frame(cmd("cat", stdin="0123456789"), "m")
    short = frame.replace(b"0123456789", b"")
    _, done = answers(short, framing.frame(cmd("touch", canary), "n"))
    assert not canary.exists()
    assert done.stdout.count(b"\0n ") == 0


@pytest.mark.parametrize("code", [0, 1, 42, 255])
@pytest.mark.parametrize("stdin", [None, "unread" * 100_000])
def test_the_exit_code_is_that_of_the_command(code, stdin):
    out, done = answers(framing.frame(cmd("bash", "-c", f"exit {code}", stdin=stdin), "m"))
    assert out == b"\0m %d\0" % code
    assert b"roken pipe" not in done.stderr


def test_a_command_cannot_read_the_next_frames():
    first, second = framing.frame(cmd("cat"), "m"), framing.frame(cmd("echo", "next"), "n")
    assert answers(first, second)[0] == b"\0m 0\0next\n\0n 0\0"


def test_a_secret_is_not_in_the_environment_of_a_command():
    """Not even where the account has exported variables with the names of ours."""
    env = dict.fromkeys("BFIrSTODn", "exported")
    first = framing.frame(cmd("bash", "-c", "env; cat", stdin=Secret("hunter2")), "m")
    second = framing.frame(cmd("env"), "n")
    out, _ = answers(first, second, env=env)
    assert out.count(b"hunter2") == 1
    assert b"I=" not in out.replace(b"_I=", b"")


def test_a_command_runs_between_two_texts_which_print_nothing(tmp_path):
    log = tmp_path / "log"
    before, after = f"echo before | tee {log}", f"echo after $r | tee -a {log}; (exit 5)"
    out, _ = answers(framing.frame(cmd("false"), "m", before, after))
    assert out == b"\0m 1\0"
    assert log.read_text() == "before\nafter 1\n"


def test_a_nul_byte_is_refused():
    for command in (cmd("cat", stdin="a\0b"), cmd(Raw("a\0b"))):
        with pytest.raises(ValueError, match="NUL"):
            framing.frame(command, "m")


# -- the start -------------------------------------------------------------------------------


@pytest.mark.parametrize("sudo", ["ask", "nopasswd"])
@pytest.mark.parametrize("user", ["", "opensafely"])
def test_the_start_line_is_plain_for_every_login_shell(user, sudo):
    line = framing.start_line(user, TOKEN, sudo=sudo)
    assert not set("\n\\!`") & set(line)
    assert len(line) < 500
    quoted = shlex.split(line)
    assert " ".join(quoted).count("'") == 0, "a quote in quotes is different in fish and csh"
    assert f"ready:{TOKEN}" not in line
    assert framing.prompt_text(TOKEN) not in line.encode()


def test_the_shell_is_not_changed_by_the_environment(tmp_path):
    (tmp_path / "start").write_text("echo sourced; exit 3")
    env = {"BASH_ENV": str(tmp_path / "start"), "BASH_FUNC_timeout%%": "() { echo mine; }"}
    assert answers(framing.frame(cmd("echo", "x"), "m"), env=env)[0] == b"x\n\0m 0\0"


@pytest.mark.parametrize("eaten", ["read -r x", "head -c 3", "head -c 20", "IFS= read -r -d '' x"])
def test_nothing_is_run_when_a_start_up_file_has_read_the_input(tmp_path, eaten):
    canary = tmp_path / "canary"
    data = framing.start_frames(TOKEN) + framing.frame(cmd("touch", canary), "m")
    line = framing.start_line("", TOKEN, sudo="ask")
    done = subprocess.run(
        ["bash", "-c", f"{eaten} >/dev/null\n{line}"], input=data, capture_output=True, timeout=30
    )
    assert not canary.exists()
    assert done.stdout.endswith(f"input:{TOKEN}\n".encode())


def test_nothing_is_run_when_the_client_has_closed_the_output(tmp_path):
    canary = tmp_path / "canary"
    data = framing.start_frames(TOKEN) + framing.frame(cmd("touch", canary), "m")
    line = framing.start_line("", TOKEN, sudo="ask")
    script = f"({line}) <input | :"
    (tmp_path / "input").write_bytes(data)
    slow = f"sleep 0.5; {line}"
    subprocess.run(["bash", "-c", script.replace(line, slow)], cwd=tmp_path, timeout=30)
    assert not canary.exists()
