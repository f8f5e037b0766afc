"""What is safe to print."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.output.console import Console, printable


@given(st.text())
def test_control_characters_never_reach_a_terminal(text):
    assert all(c.isprintable() or c in "\n\t" for c in printable(text))


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_ordinary_text_is_printed_unchanged(text):
    assert printable(text) == text


def test_control_characters_are_spelt_out():
    assert printable("a\x1b[2Jb\r\nc\x9b") == "a\\x1b[2Jb\\x0d\nc\\x9b"


@pytest.mark.parametrize("text", ["a\u00a0b", "\u200b", "Öl", "\x9b2J", "\udcff", "\U0001f600"])
def test_a_document_is_json_whatever_characters_it_holds(capsys, text):
    Console(as_json=True).document({"text": text})
    assert json.loads(capsys.readouterr().out) == {"text": text}
