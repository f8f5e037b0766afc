"""Questions: what counts as an answer, and what happens without a terminal."""

import io
import os
import re
import sys
import time

import invoke
import pexpect
import pytest

from opstasks.cli import questions
from opstasks.cli.app import App
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions
from opstasks.core.errors import Interrupted, Refused


class Terminal(io.StringIO):
    def isatty(self):
        return True


def context(**options):
    return Context(invoke.Config(), App(RunOptions(**options)))


@pytest.fixture
def answering(monkeypatch):
    def answer(text):
        monkeypatch.setattr("sys.stdin", Terminal(text))
        monkeypatch.setattr("sys.stderr", Terminal())

    return answer


def test_a_number_picks_a_line(answering):
    answering("2\n")
    assert context().pick("Two jobs.", ["one", "two"]) == 1


@pytest.mark.parametrize(
    "answer",
    ["", "0", "3", "-1", "one", "1 2", "²", "$(reboot)", pytest.param("1" * 5000, id="long")],
)
def test_any_other_answer_is_refused(answering, answer):
    answering(answer + "\n")
    with pytest.raises(Refused, match="nothing was done"):
        context().pick("Two jobs.", ["one", "two"])


@pytest.mark.parametrize("options", [{"yes": True}, {"json": True}])
def test_yes_agrees_but_does_not_choose(answering, options):
    answering("1\n")
    with pytest.raises(Refused) as refused:
        context(**options).pick("Two jobs.", ["one", "two"])
    assert refused.value.tail == "one\ntwo"


@pytest.mark.parametrize(
    ("options", "flag"), [({"json": True}, "--json"), ({"ids_only": True}, "-q")]
)
def test_with_a_result_for_a_program_the_refusal_names_the_flag(answering, options, flag):
    answering("y\n")
    with pytest.raises(Refused) as refused:
        context(**options).confirm("Deploy to a?")
    assert refused.value.message == f"Deploy to a? With {flag}, no question is asked"
    assert refused.value.hint == "add --yes to agree"


def test_without_a_terminal_the_lines_come_with_the_refusal(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n"))
    with pytest.raises(Refused) as refused:
        context().pick("Two jobs.", ["one", "two"])
    assert refused.value.tail == "one\ntwo"


def test_without_a_terminal_the_commands_to_type_are_shown(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n"))
    with pytest.raises(Refused) as refused:
        context().pick("Two are scheduled.", ["one", "two"], ["inv x 1", "inv x 2"])
    assert refused.value.tail == "inv x 1\ninv x 2"
    assert refused.value.hint == "type one of these"


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "tab\there", "\x9b"])
def test_text_for_tables_must_be_one_line(text):
    with pytest.raises(Refused, match="--reason must be one line"):
        context().one_line(text, "reason")
    assert context().one_line("it's; $(late) für Öl", "reason") == "it's; $(late) für Öl"


ASKING = {
    "confirm": lambda: context().confirm("Sure?"),
    "confirm_name": lambda: context().confirm_name("Which name?", "name"),
    "choose": lambda: context().choose("Which?", ["keep", "remove"]),
    "pick": lambda: context().pick("Two jobs.", ["one", "two"]),
}


class CtrlC(Terminal):
    def readline(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_ctrl_c_at_a_question_says_that_nothing_was_changed(monkeypatch, ask):
    monkeypatch.setattr("sys.stdin", CtrlC())
    monkeypatch.setattr("sys.stderr", Terminal())
    with pytest.raises(Interrupted, match="nothing was changed"):
        ask()


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_ctrl_d_at_a_question_agrees_to_nothing_and_ends_the_line(answering, ask):
    answering("")
    with pytest.raises(Refused, match="nothing was"):
        ask()
    assert sys.stderr.getvalue().endswith("\n")


# Each kind of question: what is typed before it, and what it makes of the answer "n".
KINDS = {
    "confirm": ("ctx.confirm('Reboot?')", "y", "refused"),
    "confirm_name": ("ctx.confirm_name('Which name?', 'y')", "y", "refused"),
    "choose": ("ctx.choose('Which?', ['y', 'n'])", "y", "n"),
    "pick": ("ctx.pick('Two jobs.', ['one', 'two'])", "1", "refused"),
    "ask_secret": ("ctx.ask_secret('TOKEN')", "y", "n"),
    "password": ("given('a')", "y", "n"),
    "share the password": ("shared()", "y", "None"),
}
SCRIPT = """
import sys, invoke
from opstasks.cli.app import App
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions
from opstasks.cli.password import PasswordBox
from opstasks.cli.streams import open_streams
from opstasks.core.errors import Refused

open_streams()
ctx = Context(invoke.Config(), App(RunOptions()))
box = PasswordBox(None, lambda: ['a', 'b'], ctx.console.held)

def given(host):
    with box.for_host(host) as secret:
        return secret.value

def shared():
    with box._judged('a', __import__('opstasks.core.command').core.command.Secret('x')):
        pass
    box._ask = lambda host: None
    with box.for_host('b') as secret:
        return secret and secret.value

print('ready', flush=True)
sys.stdin.buffer.raw.read(2)
try:
    print('result', KIND)
except Refused as error:
    print('result refused', error)
"""


@pytest.mark.parametrize(("call", "early", "result"), KINDS.values(), ids=KINDS)
def test_what_was_typed_before_a_question_is_no_answer(call, early, result):
    script = SCRIPT.replace("KIND", call)
    child = pexpect.spawn(sys.executable, ["-c", script], encoding="utf-8", timeout=60)
    child.expect("ready")
    child.send(f"x\n{early}\n{early}\n")
    child.expect(r"(\?|\]|:|number\?) $")
    time.sleep(0.5)
    child.send("n\n")
    child.expect(r"result (\w+)")
    assert child.match[1] == result
    child.close(force=True)


NO_TEXT = {name: "None" if "share" in name else "refused" for name in KINDS}


@pytest.mark.parametrize("typed", [b"s3\xe4cret", b"1\xc3"])
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_are_no_text_answer_nothing_and_are_in_no_message(kind, typed):
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    script = SCRIPT.replace("KIND", KINDS[kind][0])
    child = pexpect.spawn(sys.executable, ["-c", script], env=strict, timeout=60)
    child.expect(b"ready")
    child.send(b"x\n")
    child.expect(rb"(\?|\]|:|number\?) $")
    time.sleep(0.3)
    child.send(typed + b"\n")
    child.expect(pexpect.EOF)
    said = child.before.decode("utf-8", "replace").partition("result ")[2]
    assert said.partition(" ")[0].strip() == NO_TEXT[kind]
    assert ("is not valid text" in said) == (kind in ("ask_secret", "password"))
    assert not re.search(r"s3|cret|xe4|xc3|udc", said)


@pytest.mark.parametrize("columns", [30, 60, 80, 140])
def test_a_question_fits_into_the_window_and_breaks_no_word(answering, monkeypatch, columns):
    said = "One file, 19 B, will be removed for good from my-study on sandbox-1."
    monkeypatch.setattr("opstasks.core.window.size_of", lambda stream: (columns, 24))
    for text in (f"{said} Type the name:", "Deploy to sandbox-1, sandbox-2, sandbox-3? [y/N]"):
        answering("x\n")
        questions.answer_to(text)
        lines = sys.stderr.getvalue().split("\n")
        assert max(map(len, lines)) <= columns
        assert " ".join(lines) == f"{text} "
    answering("x\n")
    questions.answer_to(f"{said} Type the name:")
    asked = sys.stderr.getvalue().split("\n")[-1]
    assert asked == ("Type the name: " if columns < 100 else f"{said} Type the name: ")
