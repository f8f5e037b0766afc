"""Commands on a host: their output, or a failure of the protocol."""

import ast
import os
from pathlib import Path

import pytest

from opstasks.onhost import commands
from opstasks.onhost.protocol import HostFailure

ROOT = Path(__file__).resolve().parents[2]
STARTERS = (
    *(
        f"subprocess.{name}"
        for name in ("Popen", "run", "call", "check_", "getoutput", "getstatus")
    ),
    *("os.system", "os.spawn", "os.posix_spawn", "os.popen", "pty."),
)


def test_a_command_gets_no_input_unless_it_is_given():
    assert commands.call("cat").stdout == ""
    assert commands.call("cat", input="text").stdout == "text"


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\v", "\f"])
def test_a_name_with_another_line_end_hides_no_reason(sign):
    text = f"fatal: cannot read x{sign}all is well"
    done = commands.call("sh", "-c", 'printf "a\\n%s\\n" "$1" >&2; exit 1', "sh", text)
    assert commands.said(done) == ["a", text]


def test_invalid_bytes_are_replaced():
    assert commands.call("printf", r"\377").stdout == "\ufffd"


def test_a_missing_command_and_a_slow_one_have_exit_codes():
    missing = commands.attempt("/no/such/command", timeout_s=5)
    assert (missing.returncode, "No such file" in missing.stderr) == (127, True)
    assert commands.attempt("sleep", "9", timeout_s=0.1).returncode == 124


def test_a_required_command_returns_its_output():
    assert commands.required("no", "printf", " text\n") == "text"


@pytest.mark.parametrize(
    ("words", "detail"),
    [
        (("sh", "-c", "echo out; echo err >&2; exit 3"), "err"),
        (("sh", "-c", "echo out; exit 3"), "out"),
        (("/no/such/command",), "no such file or directory: /no/such/command"),
        (("sh", "-c", "seq 20 >&2; exit 1"), "9\n10\n11"),
    ],
)
def test_a_required_command_that_fails_is_a_failure_with_its_last_lines(words, detail):
    with pytest.raises(HostFailure, match="it failed") as failure:
        commands.required("it failed", *words)
    assert detail in failure.value.detail
    assert len(failure.value.detail.splitlines()) <= 12


def test_a_command_that_prints_without_end_is_killed(monkeypatch):
    monkeypatch.setattr(commands, "MAX_OUTPUT_BYTES", 1 << 20)
    endless = commands.attempt("yes", timeout_s=30)
    assert (endless.returncode, "more than 1 MiB" in endless.stderr) == (125, True)
    with pytest.raises(HostFailure, match="no"):
        commands.required("no", "sh", "-c", "yes >&2")


def test_a_large_input_that_nobody_reads_does_not_block():
    assert commands.call("true", input="x" * (4 << 20), timeout=10).returncode == 0


def test_input_that_is_no_text_is_replaced():
    assert commands.call("cat", input="a\udc80b").stdout == "a?b"


# -- the lock of a change ----------------------------------------------------------------------


def started_processes():
    """Every place where code of a host starts a process: file, line, its keyword arguments."""
    for path in sorted((ROOT / "opstasks").rglob("onhost/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(STARTERS):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield place, {word.arg: word.value for word in node.keywords}


def test_each_process_on_a_host_is_started_with_or_without_the_lock_on_purpose():
    """Without the argument, Python would close the lock: a change would go on without it."""
    found = list(started_processes())
    assert len(found) > 8
    assert [place for place, words in found if "close_fds" not in words] == []


def test_a_command_inherits_only_what_its_program_inherited(tmp_path):
    ours = os.open(tmp_path, os.O_RDONLY)
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(lock, True)
    try:
        listed = commands.required("no", "ls", "-l", "/proc/self/fd")
    finally:
        os.close(ours)
        os.close(lock)
    assert f"{tmp_path}/lock" in listed
    assert f"{tmp_path}\n" not in listed


@pytest.mark.parametrize(
    "script, text",
    [
        ("exit 3", "exit code 3"),
        ("kill -9 $$", "killed by signal 9"),
        ("exit 137", "killed by signal 9"),
        ("echo words; kill -9 $$", "words"),
    ],
)
def test_a_command_that_printed_nothing_is_named_by_its_end(script, text):
    with pytest.raises(HostFailure) as caught:
        commands.required("cannot start it", "bash", "-c", script)
    assert (caught.value.reason, caught.value.detail) == ("cannot start it", text)
