"""What is safe to print."""

import dataclasses
import json

import msgspec
import pytest

from opstasks.output.console import Console


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
