"""No text of a host can control the terminal, or begin a line that looks like one of ours."""

import ast
import io
import json
import re
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.cli import questions
from opstasks.core import events
from opstasks.core.errors import OpsError, ProgramFailed, Refused
from opstasks.core.lines import lines_of
from opstasks.core.result import FleetResult, HostResult
from opstasks.output import live
from opstasks.output.console import Console
from opstasks.output.escape import json_text, printable, printable_line
from opstasks.output.parts import Painted
from opstasks.output.screens import Screen
from opstasks.output.stream import fleet_stream
from opstasks.output.table import Column
from opstasks.output.tracebacks import traceback_lines

# Characters that control a terminal, end a line, or change the direction of reading.
HOSTILE = [
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\x7f",
    "\r",
    "\n",
    "\x0b\x0c\x1c\x1d\x1e",
    "\x85",
    "\u2028\u2029",
    "\u202e\u2066",
    "\u200b\ufeff",
    "\x00",
    "\udc9b",
    "\U000e0041",
]
FORGED = "x\nerror: tpp: all jobs are lost\x1b[0m"
# Texts that are shown: ordinary text around hostile parts.
TEXTS = st.lists(st.sampled_from([*HOSTILE, "a", "job 1"]), min_size=1, max_size=6).map("".join)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def streams(monkeypatch):
    """Replaces both streams when it is called; pytest has set its own before each test."""

    def replace(kind=Terminal):
        made = SimpleNamespace(out=kind(), err=kind())
        monkeypatch.setattr(sys, "stdout", made.out)
        monkeypatch.setattr(sys, "stderr", made.err)
        return made

    return replace


def is_safe(text):
    return all(char.isprintable() or char == "\n" for char in text)


# -- the functions -------------------------------------------------------------------------------


@given(st.text() | TEXTS)
def test_an_escaped_text_is_one_line_of_visible_characters(text):
    assert printable(text).isprintable()
    assert all(char.isprintable() or char == "\t" for char in printable_line(text))


@given(st.text() | TEXTS)
def test_escaping_twice_changes_nothing_more(text):
    assert printable(printable(text)) == printable(text)


UNSEEN = "\u115f\u1160\u2800\u3164\uffa0\U0001d159"


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters=UNSEEN)))
def test_ordinary_text_is_shown_unchanged(text):
    assert printable(text) == printable_line(text) == text


def test_each_kind_of_character_has_a_readable_form():
    assert printable("a\x1b[2J\r\n\t\x9b\u2028\U000e0041") == (
        "a\\x1b[2J\\r\\n\\t\\x9b\\u2028\\ue0041"
    )


@given(st.text() | TEXTS)
def test_json_is_plain_text_for_a_terminal_and_keeps_the_value(text):
    shown = json_text({text: [text]}, str)
    assert shown.isascii()
    assert shown.isprintable()
    assert json.loads(shown) == {text: [text]}


@given(st.text())
def test_only_line_ends_divide_a_text_into_lines(text):
    assert lines_of("a\x85b\u2028c\x0b\nd\r\n") == ["a\x85b\u2028c\x0b", "d"]
    assert len(lines_of(text)) == text.count("\n") + (text[-1:] not in ("", "\n"))


# -- the console ---------------------------------------------------------------------------------


def error(text):
    return OpsError(text, host="tpp", command=text, tail=text, hint=text)


def failed(text):
    return FleetResult([HostResult("tpp", "failed", error=error(text))])


COLUMNS = [Column("A"), Column("B")]
SCREEN = Screen(
    COLUMNS,
    lambda host, text: [[host, text]],
    headline=lambda result: [f"read {result.values}"],
    notes=lambda host, text: [[f"note {text}", Painted(text, "red")]],
    closing=lambda result: [[f"closing {next(iter(result)).value}"]],
)
# What shows one value: the number of lines must not depend on the value.
SHOWN = {
    "say": lambda console, text: console.say(f"found {text}"),
    "say in colour": lambda console, text: console.say(Painted(text, "red"), text),
    "note": lambda console, text: console.note(f"note {text}"),
    "line": lambda console, text: console.line("tpp", text, prefixed=True),
    "error line": lambda console, text: console.error_line("tpp", text, prefixed=False),
    "step": lambda console, text: console.observe(events.StepReached("tpp", text)),
    "table": lambda console, text: console.table(COLUMNS, [[text, 1], [2, text]]),
    "ids": lambda console, text: Console(ids_only=True).ids([text]),
    "document": lambda console, text: console.document({"a": text}),
    "screen": lambda console, text: console.say_lines(
        SCREEN.lines(FleetResult([HostResult("tpp", "ok", text)]), 0)
    ),
    "error": lambda console, text: console.error(Refused(text, host="tpp", hint=text)),
}


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_a_value_never_controls_the_terminal_or_adds_a_line(shown, streams):
    def written(text, kind=io.StringIO):
        made = streams(kind)
        shown(Console(), text)
        return made.out.getvalue() + made.err.getvalue()

    @given(TEXTS)
    def check(text):
        assert is_safe(written(text))
        assert written(text).count("\n") == written("plain").count("\n")

    check()
    # On a terminal, the only control characters are those of our own colours.
    assert written("\x1b[31m\x1b[0m", Terminal).count("\x1b") == written("x", Terminal).count(
        "\x1b"
    )


@pytest.mark.parametrize(
    "sign",
    [*UNSEEN, *"\u034f\u17b4\u180b\u2d7f\ufe00\ufe0f\U00016fe4\U0001bc9d\U000e0100\U000e01ef"],
    ids=ascii,
)
def test_a_letter_that_nobody_sees_is_escaped(sign):
    """A row of such letters would move the text after them to the next line."""
    assert sign.isprintable()
    for show in (printable, printable_line):
        assert show(f"a{sign}é日\u0301") == f"a\\u{ord(sign):04x}é日\u0301"


@pytest.mark.parametrize(
    "text", ["error", "ERROR  tpp: x", "e\u0301rror  tpp: x", "\u20ddnext: x", "n\u0332ow:\u0336 x"]
)
def test_no_row_of_a_table_looks_like_an_error_or_a_hint(text, streams):
    terminal = streams()
    Console().table([Column("A")], [[text]])
    row = unicodedata.normalize("NFD", terminal.out.getvalue().split("\n")[-2])
    assert row.startswith("\\")
    assert row.endswith(text[1:])


@pytest.mark.parametrize("text", HOSTILE)
def test_the_lines_that_a_command_printed_are_marked_as_such(text, streams):
    terminal = streams()
    Console().error(error(f"{text}\n{FORGED}"))
    shown = re.sub(r"\x1b\[\d+m", "", terminal.err.getvalue())
    assert is_safe(shown)
    assert shown.startswith("error  ") and shown.endswith("\n")
    message = "\n".join(line for line in shown.split("\n") if not line.startswith(" ")).rstrip()
    assert len(re.findall("^error", message, re.M)) == len(re.findall("^next:", message, re.M)) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_a_traceback_shows_what_a_host_said_as_one_line(text, streams):
    terminal = streams()
    try:
        try:
            raise ProgramFailed(f"{text}{FORGED}", host="tpp", traceback=f"{text}\n{FORGED}")
        except ProgramFailed as inner:
            raise OpsError(f"{text}{FORGED}") from inner
    except OpsError as raised:
        lines = traceback_lines(raised)
        Console().trace(raised)
    assert is_safe(terminal.err.getvalue())
    assert not [line for line in terminal.err.getvalue().split("\n") if line.startswith("error")]
    assert sum(line.startswith(("ProgramFailed: ", "OpsError: ")) for line in lines) == 2
    assert any(__file__ in line for line in lines)


def test_a_traceback_leaves_out_what_an_error_leaves_out():
    """`from None` is for errors that may repeat a secret value."""
    try:
        try:
            int("opensesame")
        except ValueError:
            raise OpsError("not a number") from None
    except OpsError as raised:
        lines = traceback_lines(raised)
    assert lines[-1] == "OpsError: not a number"
    assert not [line for line in lines if line.startswith("ValueError")]


@pytest.mark.parametrize("text", HOSTILE)
def test_streamed_json_cannot_control_the_terminal(text, streams):
    terminal = streams()
    fleet_stream([(text, lambda take: take([{"name": text}]))])
    assert is_safe(terminal.out.getvalue())
    document = json.loads(terminal.out.getvalue())
    assert document["hosts"][text]["value"] == [{"name": text}]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_watched_table_cannot_control_the_terminal(text, streams):
    terminal = streams()
    terminal.out.fileno = lambda: -1
    live.Display(Console()).draw([[text], [f"second {text}"]])
    shown = terminal.out.getvalue()
    for code in (live.HOME, live.END_OF_LINE, live.REST):
        shown = shown.replace(code, "")
    assert is_safe(shown.replace("\r\n", "\n"))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_question_cannot_control_the_terminal(text, streams, monkeypatch):
    terminal = streams()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert questions.agrees_to(f"Kill {text}?")
    assert terminal.err.getvalue().isprintable()


# -- the code ------------------------------------------------------------------------------------

PACKAGE = Path(__file__).parents[2] / "opstasks"
# Code outside `output/` that writes to the terminal: program, and why it may.
WRITERS = {
    "cli/questions.py": "questions, which it escapes; see the test above",
    "cli/password.py": "a question with names of hosts, which the inventory checks",
    "cli/program.py": "completion: words of our own",
    "cli/help_screens.py": "help, of which it escapes each line",
    "cli/interrupts.py": "one constant line, in a signal handler",
    "fleet/terminal.py": "a program of the host has the terminal, as with ssh",
    "fleet/arrivals.py": "a pipe of its own",
}


def writes(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("print", "os.write") or name.startswith(("sys.stdout.w", "sys.stderr.w")):
                yield node.lineno


def test_only_the_output_folder_prints():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = str(path.relative_to(PACKAGE))
        if "onhost" not in path.parts and not place.startswith(("output/", "sandbox/")):
            found |= {place for _ in writes(ast.parse(path.read_text()))}
    assert found == set(WRITERS)
