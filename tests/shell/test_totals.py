"""The last line of `run` on several hosts."""

import pytest

from opstasks.core.errors import CommandFailed, Refused, TimedOut, Unreachable
from opstasks.core.result import FleetResult, HostResult, Result
from opstasks.output.parts import text_of_line
from opstasks.shell.totals import totals


def ok(host):
    return HostResult(host, "ok", Result("x", 0, "", ""))


def bad(host, error):
    return HostResult(host, error.outcome, error=error)


def exit_code(number):
    return CommandFailed("bash failed", returned=number)


@pytest.mark.parametrize(
    ("items", "line"),
    [
        ([ok("a"), ok("b")], "2 hosts: 2 ok"),
        (
            [ok("a"), bad("tpp", exit_code(3)), ok("b")],
            "3 hosts: 2 ok, 1 failed (exit 3): tpp",
        ),
        (
            [bad("a", exit_code(1)), bad("b", exit_code(2)), bad("c", exit_code(1))],
            "3 hosts: 2 failed (exit 1): a, c; 1 failed (exit 2): b",
        ),
        (
            [ok("a"), bad("b", Unreachable("x")), bad("c", TimedOut("x")), bad("d", Refused("x"))],
            "4 hosts: 1 ok, 1 no answer: b; 1 failed (time limit): c; 1 refused: d",
        ),
        ([bad(f"h{n}", exit_code(1)) for n in range(12)], "12 hosts: 12 failed (exit 1): h0"),
    ],
)
def test_the_hosts_that_are_not_ok_are_named_by_kind(items, line):
    shown = text_of_line(totals(FleetResult(items)))
    assert shown.startswith(line)
    assert len(items) < 12 or shown.endswith("h9 and 2 more")
