"""Documents of `--json`: every task is described, and every number has its unit in its name."""

import dataclasses
import json
import re

import msgspec
import pytest

from opstasks.cli.json_values import (
    NO_DOCUMENT,
    VALUES,
    WITHOUT_HOSTS,
    fields_of,
    resolved,
)
from opstasks.core.result import FleetResult, HostResult
from opstasks.namespace import namespace
from opstasks.output.documents import fleet_document, plain
from opstasks.output.escape import json_text
from scripts.json_shape import inside, meaning, problems
from scripts.json_shape import plain as plain_type

NAMES = sorted({name for kinds in VALUES.values() for name in kinds.values()})
# A number whose name has one of these words needs a unit.
MEASURES = re.compile(
    r"(^|_)(size|memory|disk|free|used|age|elapsed|span|timeout|delay|every|wait|time|started|ended"
    r"|created|finished|until|since|cpu)(_|$)"
)
UNIT = re.compile(r"(^|_)(s|bytes|percent|at|cores|count|ns|days|files)$")


@dataclasses.dataclass(frozen=True)
class Inner:
    size_bytes: int
    ended_at: float = 0.0


class Outer(msgspec.Struct, frozen=True):
    name: str
    parts: tuple[Inner, ...]
    state: str | None = None


class Explained(msgspec.Struct, frozen=True):
    """One thing; times are in seconds since the epoch, 0 for never (`opstasks.core`).

    `made_at` is when it was made, in seconds since the epoch. `name` is None if unknown; it stays.
    `ended_at` is 0 before its end. Raises ValueError for nonsense.
    """

    name: str


def decoded(value):
    return json.loads(json_text(value, plain))


def test_every_task_is_described_or_listed_as_an_exception():
    assert {*VALUES, *NO_DOCUMENT, *WITHOUT_HOSTS} == set(namespace.task_names)
    assert not VALUES.keys() & (NO_DOCUMENT | WITHOUT_HOSTS)


@pytest.mark.parametrize("name", NAMES)
def test_every_measured_number_has_its_unit_in_its_name(name):
    wrong = [
        f"{kind.__name__}.{field}"
        for kind in inside(resolved(name))
        for field, type_ in fields_of(kind).items()
        if plain_type(type_) in (int, float) and MEASURES.search(field) and not UNIT.search(field)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_every_type_is_explained_in_the_words_of_json(name):
    for kind in inside(resolved(name)):
        text = meaning(kind)
        assert text
        assert not re.search(r"epoch|None|True|False|opstasks\.|Raises", text), kind


def test_an_explanation_keeps_what_is_not_about_python():
    assert meaning(Explained) == (
        "One thing. `made_at` is when it was made. `name` is null if unknown; it stays."
        " `ended_at` is null before its end."
    )


def test_a_document_that_is_as_described_has_no_problems():
    value = decoded(Outer("a", (Inner(3), Inner(4, 1795000000.5))))
    assert value["parts"][0] == {"size_bytes": 3, "ended_at": None}
    assert list(problems(Outer, value, "a")) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "a.name: 3 is no text"),
        ({"parts": [{"size_bytes": "3 KiB", "ended_at": None}]}, "is no number"),
        ({"parts": [{"size_bytes": 3, "ended_at": 17.0}]}, "17.0 is no moment"),
        ({"parts": [{"size_bytes": 3}]}, "missing: ['ended_at']"),
        ({"parts": {}}, "no list"),
        ({"more": 1}, "unknown: ['more']"),
        ({"state": 5}, "a.state"),
    ],
)
def test_a_document_that_differs_is_noticed(change, said):
    value = {**decoded(Outer("a", ())), **change}
    assert said in " ".join(problems(Outer, value, "a"))


def test_a_document_tells_its_version_and_exit_code():
    document = fleet_document(FleetResult([HostResult("a", "ok", Inner(3), elapsed_s=0.5)]))
    assert decoded(document) == {
        "version": 1,
        "exit_code": 0,
        "hosts": {
            "a": {
                "outcome": "ok",
                "elapsed_s": 0.5,
                "value": {"size_bytes": 3, "ended_at": None},
            }
        },
    }
