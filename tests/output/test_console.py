"""What is safe to print."""

import dataclasses
import json

import msgspec
import pytest

from opstasks.core.errors import OpsError
from opstasks.output.console import MOST_CELL, Console, table_text


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


def test_a_long_text_of_one_host_does_not_lengthen_all_rows():
    text = table_text(["host", "found", ""], [["a", "x" * 60_000, "BAD"], ["b", "free", "ok"]])
    lines = text.split("\n")
    assert max(map(len, lines)) < MOST_CELL + 20
    assert lines[2].startswith("a       xxx") and "x…  BAD" in lines[2]


def test_a_long_reason_leaves_the_hint_in_sight(capsys):
    Console().error(OpsError("\x1b" * 1_000_000, host="a", hint="inv doctor"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: a: \\x1b\\x1b") and line.endswith("… -> inv doctor")
    assert len(line) < 50_000


def test_endless_lines_of_a_host_below_an_error_are_counted(capsys):
    Console().error(OpsError("x", tail="one\n" * 60_000))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 202
    assert lines[-2:] == ["  | one", "  … 59800 more lines"]
