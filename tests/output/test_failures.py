"""Errors as lines: what went wrong and where, the last lines, the state, and what to type next."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstasks.core.errors import CommandFailed, OpsError, Refused, Unreachable
from opstasks.core.hints import one_word
from opstasks.core.result import FleetResult, HostResult
from opstasks.core.state import HostState
from opstasks.output.console import Console
from opstasks.output.failures import TAIL, grouped, lines
from opstasks.output.parts import Painted, text_of_line
from tests.output.tables import TEXTS, looks_like_ours, shown_width


def gateway_down(host):
    return Unreachable("gateway g: no answer from g:22", host=host, hint=f"inv -H {host} hosts")


def texts(errors, width=0):
    return [[text_of_line(line) for line in lines(group, width)] for group in grouped(errors)]


# -- what it looks like --------------------------------------------------------------------------


def test_an_error_is_two_lines():
    assert texts([gateway_down("a")]) == [
        ["error  gateway g: no answer from g:22 (a)", "next:  inv -H a hosts"]
    ]


def test_all_that_is_known_of_an_error_is_shown_in_order():
    error = CommandFailed(
        "docker failed", returned=1, host="a", command="docker ps", tail="one\ntwo", hint="inv logs"
    )
    error.now = HostState(service="up", paused=False)
    assert texts([error]) == [
        [
            "error  docker failed (a)",
            "       command: docker ps",
            "  | one",
            "  | two",
            "now:   service up, not paused",
            "next:  inv logs",
        ]
    ]


def test_a_long_error_continues_below_itself():
    error = OpsError("the disk of the host is almost full", host="tpp", hint="inv doctor")
    assert texts([error], 30)[0][:2] == [
        "error  the disk of the host is",
        "       almost full (tpp)",
    ]


def test_a_long_command_to_type_is_not_divided():
    command = "inv -H sandbox-1 outputs.rm study --file output/measures.csv"
    error = OpsError("x", hint=command)
    assert any(command in line for line in texts([error], 40)[0])


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (HostState(), ""),
        (HostState(code="3c67cf9", boot_id="1"), ""),
        (HostState(service="failed"), "service failed"),
        (HostState(paused=True, prepared=True), "paused, prepared for a reboot"),
        (HostState(prepared=False), "not prepared for a reboot"),
        (HostState(jobs={"ovlotu": "running"}), "job ovlotu running"),
        (HostState(removed=()), "nothing removed"),
        (HostState(removed=tuple("abcde")), "removed: a, b, c and 2 more"),
        (HostState(scheduled=("r1",), unfinished="7"), "scheduled: r1, release 7 is unfinished"),
    ],
)
def test_the_state_of_a_host_is_told_in_words(state, words):
    assert state.words() == words


def test_an_error_without_a_known_state_has_no_line_for_it():
    error = OpsError("x")
    error.now = HostState()
    assert texts([error]) == [["error  x"]]


# -- several hosts -------------------------------------------------------------------------------


def test_one_gateway_is_blamed_once_for_a_hundred_hosts(capsys):
    errors = [gateway_down(f"many-{number}") for number in range(100)]
    result = FleetResult([HostResult(e.host, "unreachable", error=e) for e in errors])
    Console().problems(result)
    Console().problems(result)
    assert capsys.readouterr().err.splitlines() == [
        "error  gateway g: no answer from g:22 (many-0, many-1, many-2 and 97 more)",
        "next:  inv -H many-0,many-1,many-2 hosts",
    ]
    assert result.exit_code == 3


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


def test_hosts_in_different_states_are_shown_apart():
    a, b = OpsError("x", host="a"), OpsError("x", host="b")
    a.now, b.now = HostState(service="up"), HostState(service="failed")
    assert len(texts([a, b])) == 2


@pytest.mark.parametrize(
    "known",
    [
        HostState(jobs={"abc": "running"}),
        HostState(removed=("a.csv",), scheduled=("x",), paused=True),
        HostState(code="abc", boot_id="x"),
    ],
)
def test_hosts_in_the_same_state_are_shown_together(known):
    a, b = OpsError("x", host="a"), OpsError("x", host="b")
    a.now = b.now = known
    assert len(texts([a, b])) == 1


def test_errors_without_a_host_are_never_merged():
    assert len(texts([OpsError("x"), OpsError("x")])) == 2


def test_groups_come_in_the_order_of_their_first_host():
    errors = [gateway_down("a"), OpsError("x", host="b"), gateway_down("c")]
    assert [shown[0].partition("(")[2] for shown in texts(errors)] == ["a, c)", "b)"]


def test_a_host_that_is_a_part_of_another_word_in_the_hint_stays():
    errors = [OpsError("x", host=h, hint=f"inv -H {h} logs; see {h}-notes") for h in ("a", "b")]
    assert [shown[1] for shown in texts(errors)] == [
        "next:  inv -H a logs; see a-notes",
        "next:  inv -H b logs; see b-notes",
    ]


# -- hostile texts -------------------------------------------------------------------------------


@settings(max_examples=200)
@given(TEXTS, TEXTS, TEXTS, st.integers(20, 240) | st.just(0))
def test_a_text_of_a_host_never_makes_a_message_of_ours(message, tail, path, width):
    hint = f"inv -H tpp outputs.rm {one_word(path)}"
    error = OpsError(message, host="tpp", command=path, tail=tail, hint=hint)
    error.now = HostState(jobs={path: message})
    shown = lines([error], width)
    ours = [line for line in shown if looks_like_ours(line)]
    # Exactly these begin a line, each with its label in a colour.
    assert [line[0] for line in ours] == [
        Painted("error", "red"),
        Painted("now:", "bold"),
        Painted("next:", "bold"),
    ]
    for line in map(text_of_line, shown):
        assert line.isprintable()
        if width and shown_width(line) > width:
            # A command to type, or one word: the terminal continues it.
            parts = [line[at : at + width] for at in range(width, len(line), width)]
            assert "outputs.rm" in line or len(line.removeprefix(TAIL).split()) <= 2
            assert not any(looks_like_ours([part]) for part in parts)


def test_a_long_reason_leaves_the_hint_in_sight(capsys):
    Console().error(OpsError("\x1b" * 1_000_000, host="a", hint="inv doctor"))
    what, hint = capsys.readouterr().err.splitlines()
    assert what.startswith("error  \\x1b\\x1b") and what.endswith("… (a)")
    assert len(what) < 50_000
    assert hint == "next:  inv doctor"


def test_endless_lines_of_a_host_below_an_error_are_counted(capsys):
    Console().error(OpsError("x", tail="one\n" * 60_000 + "y" * 1000))
    found = capsys.readouterr().err.splitlines()
    assert len(found) == 202
    assert found[-2:] == ["  | one", "  | … 59801 more lines"]


def test_a_long_line_below_an_error_is_marked_as_cut():
    (shown,) = texts([OpsError("x", tail="y" * 1000)])
    assert shown[-1].endswith("y…") and len(shown[-1]) < 320


def test_errors_that_know_the_states_of_jobs_are_grouped():
    a, b = OpsError("killed in part", host="a"), OpsError("killed in part", host="b")
    a.now = b.now = HostState(jobs={"job1": "running"})
    assert grouped([a, b]) == [[a, b]]
