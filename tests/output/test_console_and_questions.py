"""What is safe to print, and asking for one of several."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.cli.app import PASSWORD_FILE, App, Context, Options
from opstasks.core.errors import Interrupted, Refused
from opstasks.output.console import Console, printable


@given(st.text())
def test_nothing_that_drives_a_terminal_is_printed(text):
    assert all(c.isprintable() or c in "\n\t" for c in printable(text))


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_people_read_is_printed_as_it_is(text):
    assert printable(text) == text


def test_control_characters_are_spelt_out():
    assert printable("a\x1b[2Jb\r\nc\x9b") == "a\\x1b[2Jb\\x0d\nc\\x9b"


@pytest.mark.parametrize("text", ["a\u00a0b", "\u200b", "Öl", "\x9b2J", "\udcff", "\U0001f600"])
def test_a_document_is_json_whatever_characters_it_holds(capsys, text):
    Console(as_json=True).document({"text": text})
    assert json.loads(capsys.readouterr().out) == {"text": text}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def context(**options):
    import invoke

    return Context(invoke.Config(), App(Options(**options)))


@pytest.fixture
def answering(monkeypatch):
    def answer(text):
        monkeypatch.setattr("sys.stdin", Terminal(text))
        monkeypatch.setattr("sys.stderr", Terminal())

    return answer


def test_a_number_picks_a_line(answering):
    answering("2\n")
    assert context().pick("Two jobs.", ["one", "two"]) == 1


@pytest.mark.parametrize("answer", ["", "0", "3", "-1", "one", "1 2", "²", "$(reboot)"])
def test_any_other_answer_picks_nothing(answering, answer):
    answering(answer + "\n")
    with pytest.raises(Refused, match="nothing was done"):
        context().pick("Two jobs.", ["one", "two"])


@pytest.mark.parametrize("options", [{"yes": True}, {"json": True}])
def test_yes_agrees_but_does_not_choose(answering, options):
    answering("1\n")
    with pytest.raises(Refused) as refused:
        context(**options).pick("Two jobs.", ["one", "two"])
    assert refused.value.tail == "one\ntwo"


def test_without_a_terminal_the_lines_come_with_the_refusal(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n"))
    with pytest.raises(Refused) as refused:
        context().pick("Two jobs.", ["one", "two"])
    assert refused.value.tail == "one\ntwo"


def test_where_nobody_can_answer_the_commands_to_type_are_shown(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n"))
    with pytest.raises(Refused) as refused:
        context().pick("Two are armed.", ["one", "two"], ["inv x 1", "inv x 2"])
    assert refused.value.tail == "inv x 1\ninv x 2"
    assert refused.value.hint == "type one of these"


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "tab\there", "\x9b"])
def test_words_for_other_peoples_tables_are_one_line_of_text(text):
    with pytest.raises(Refused, match="--reason is to be one line"):
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
    import sys

    assert sys.stderr.getvalue().endswith("\n")


@pytest.mark.parametrize(
    ("content", "word"), [(b"a b\n", "a b"), (b"x\r\n", "x"), ("pä".encode(), "pä")]
)
def test_a_password_file_holds_one_line(monkeypatch, tmp_path, content, word):
    (tmp_path / "password").write_bytes(content)
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    assert App(Options())._password.get().value == word


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo", b"one\n\n", b"a\0b", b"\xff"])
def test_what_sudo_would_not_read_as_a_password_never_reaches_a_shell(
    monkeypatch, tmp_path, content
):
    (tmp_path / "password").write_bytes(content)
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    with pytest.raises(Refused, match=PASSWORD_FILE):
        App(Options())._password.get()
