"""JSON documents: moments, errors, and only some fields."""

import json

import msgspec
import pytest

from opstasks.core.errors import Refused, Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.core.state import HostState
from opstasks.output.documents import VERSION, failure, fleet_document, iso_text, plain
from opstasks.output.escape import json_text
from opstasks.output.stream import fleet_stream


class Job(msgspec.Struct, frozen=True):
    name: str
    started_at: float = 0.0
    size_bytes: int = 0


def decoded(value):
    return json.loads(json_text(value, plain))


def fleet(*values):
    return FleetResult([HostResult(f"h{n}", "ok", value) for n, value in enumerate(values)])


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (1795000000, "2026-11-18T11:06:40.000+00:00"),
        (1795000000.25, "2026-11-18T11:06:40.250+00:00"),
        (0, None),
        (None, None),
        (1e300, None),
        (float("nan"), None),
    ],
)
def test_a_moment_is_iso_8601_in_utc_or_null(at, text):
    assert iso_text(at) == text
    assert decoded(Job("a", at))["started_at"] == text


def test_an_error_has_only_the_fields_that_are_known():
    error = Unreachable("no answer", host="a", hint="is it up?")
    error.now = HostState(service="up")
    (item,) = decoded(fleet_document(FleetResult([HostResult("a", "unreachable", error=error)])))[
        "hosts"
    ].values()
    assert item == {
        "outcome": "unreachable",
        "error": {
            "message": "no answer",
            "host": "a",
            "hint": "is it up?",
            "outcome": "unreachable",
            "now": {"service": "up"},
        },
    }


def test_wrong_usage_is_a_document_as_well():
    assert decoded(failure(Refused("--limit must be a number", hint="try 5"))) == {
        "version": VERSION,
        "exit_code": 2,
        "error": {"message": "--limit must be a number", "hint": "try 5", "outcome": "refused"},
    }


# -- --fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Job("a"), {"name": "a"}),
        ([Job("a"), Job("b")], [{"name": "a"}, {"name": "b"}]),
        ((), []),
    ],
)
def test_only_the_wanted_fields_of_each_value_are_kept(value, shown):
    document = decoded(fleet_document(fleet(value), ["name"]))
    assert document["hosts"]["h0"]["value"] == shown


def test_a_stream_keeps_the_wanted_fields(capsys):
    def jobs(take):
        take([Job("a"), Job("b")])

    assert fleet_stream([("h", jobs)], ["name"]).exit_code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["hosts"]["h"]["value"] == [{"name": "a"}, {"name": "b"}]
