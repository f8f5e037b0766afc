"""What is safe to print."""

import dataclasses
import json

import msgspec
import pytest

from opstasks.core.events import StepReached
from opstasks.output.console import Console
from opstasks.output.table import Column


@pytest.mark.parametrize("text", ["a\u00a0b", "\u200b", "Öl", "\x9b2J", "\udcff", "\U0001f600"])
def test_a_document_is_json_with_any_characters(capsys, text):
    Console(as_json=True).document({"text": text})
    assert json.loads(capsys.readouterr().out) == {"text": text}


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: object
    names: frozenset = frozenset()


class Inner(msgspec.Struct, frozen=True):
    size_bytes: int
    parts: tuple = ()


def test_our_own_types_become_objects_in_a_document(capsys):
    value = Outer(Inner(3, (Inner(4),)), frozenset({"a"}))
    Console(as_json=True).document({"value": value})
    assert json.loads(capsys.readouterr().out) == {
        "value": {
            "inner": {"size_bytes": 3, "parts": [{"size_bytes": 4, "parts": []}]},
            "names": ["a"],
        }
    }


def test_with_q_only_ids_are_printed(capsys):
    console = Console(ids_only=True)
    console.say("headline")
    console.table([Column("A")], [["x"]])
    console.ids(["a", "b"])
    assert capsys.readouterr().out == "a\nb\n"


def test_ids_are_for_q_only(capsys):
    Console().ids(["a"])
    Console(as_json=True, ids_only=True).ids(["a"])
    Console(ids_only=True).ids([])
    assert capsys.readouterr().out == ""


def test_what_ends_while_a_person_types_is_shown_afterwards(capsys):
    console = Console()
    with console.held():
        console.observe(StepReached("tpp", "stop the service"))
        assert capsys.readouterr().err == ""
    console.observe(StepReached("tpp", "copy"))
    assert capsys.readouterr().err.splitlines()[0] == "tpp  stop the service"


def test_a_table_says_what_it_leaves_out_unless_it_is_wide(capsys, monkeypatch):
    monkeypatch.setattr("opstasks.output.fit.window", lambda: 20)
    columns = [Column("HOST"), Column("PATH", 1)]
    Console().table(columns, [["tpp", "x" * 18]])
    assert capsys.readouterr().out == "HOST\ntpp\nnot shown: path\n  (--wide)\n"
    Console(wide=True).table(columns, [["tpp", "x" * 16]])
    assert capsys.readouterr().out == "tpp\n  PATH\n    " + "x" * 16 + "\n"
