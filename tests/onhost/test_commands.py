"""Commands on a host: their output, or a failure of the protocol."""

import pytest

from opstasks.onhost import commands
from opstasks.onhost.protocol import HostFailure


def test_a_command_gets_no_input_unless_it_is_given():
    assert commands.call("cat").stdout == ""
    assert commands.call("cat", input="text").stdout == "text"


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
        (("/no/such/command",), "FileNotFoundError"),
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
