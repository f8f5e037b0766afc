"""Errors that say the same about several hosts are one error."""

import pytest
from opstasks.output.alike import grouped, shown_text

from opstasks.core.errors import CommandFailed, OpsError, Refused, Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.output.console import Console


def gateway_down(host):
    return Unreachable("gateway g: no answer from g:22", host=host, hint=f"inv -H {host} hosts")


def texts(errors):
    return [shown_text(group) for group in grouped(errors)]


def test_one_gateway_is_blamed_once_for_a_hundred_hosts(capsys):
    errors = [gateway_down(f"many-{number}") for number in range(100)]
    result = FleetResult([HostResult(e.host, "unreachable", error=e) for e in errors])
    Console().problems(result)
    Console().problems(result)
    assert capsys.readouterr().err == (
        "error: many-0, many-1, many-2 and 97 more: gateway g: no answer from g:22"
        " -> inv -H many-0,many-1,many-2 hosts\n"
    )
    assert result.exit_code == 3


def test_one_host_keeps_its_own_text():
    (text,) = texts([gateway_down("a")])
    assert text == "a: gateway g: no answer from g:22 -> inv -H a hosts"


@pytest.mark.parametrize(
    "other",
    [
        Unreachable("gateway g: no answer from h:22", host="b", hint="inv -H b hosts"),
        Unreachable("gateway g: no answer from g:22", host="b", hint="inv -H b doctor"),
        Unreachable("gateway g: no answer from g:22", host="b", hint="inv -H b hosts", tail="x"),
        Refused("gateway g: no answer from g:22", host="b", hint="inv -H b hosts"),
        CommandFailed("gateway g: no answer from g:22", returned=1, host="b"),
        OpsError("gateway g: no answer from g:22"),
    ],
)
def test_errors_that_differ_are_shown_apart(other):
    assert len(texts([gateway_down("a"), other])) == 2


def test_errors_without_a_host_are_never_merged():
    assert len(texts([OpsError("x"), OpsError("x")])) == 2


def test_groups_come_in_the_order_of_their_first_host():
    errors = [gateway_down("a"), OpsError("x", host="b"), gateway_down("c")]
    assert [text.split(":")[0] for text in texts(errors)] == ["a, c", "b"]


def test_a_host_that_is_a_part_of_another_word_in_the_hint_stays():
    errors = [OpsError("x", host=h, hint=f"inv -H {h} logs; see {h}-notes") for h in ("a", "b")]
    assert texts(errors) == [
        "a: x -> inv -H a logs; see a-notes",
        "b: x -> inv -H b logs; see b-notes",
    ]
