"""The holder of a lock, from its file: for people only, never trusted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.fleet import lock
from opstasks.fleet.lock import Owner

NOW = 1_795_514_640.0  # 2026-11-24 10:04 UTC


def words(**over):
    owner = {"who": "alice@laptop", "task": "deploy", "since": "2026-11-24T10:00:00+00:00"}
    return json.dumps({**owner, "run_id": "1", **over})


def test_an_owner_is_described_with_time_and_age(monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOW)
    owner = lock.parse_owner(words())
    assert owner.describe() == "alice@laptop, deploy, since 2026-11-24 10:00 UTC (4m)"
    assert owner.age_s == 240


@pytest.mark.parametrize("since", ["", "soon", "99999-01-01", "2026-99-99"])
def test_an_unknown_time_is_left_out(since):
    owner = lock.parse_owner(words(since=since))
    assert (owner.describe(), owner.age_s) == ("alice@laptop, deploy", 0.0)


def test_a_time_in_the_future_has_no_age(monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOW - 86400)
    assert lock.parse_owner(words()).age_s == 0.0


def test_nothing_printed_is_a_free_lock():
    assert lock.parse_owner("") is None
    assert lock.parse_owner(" \n") is None


@pytest.mark.parametrize(
    "text", ["held", "[]", "null", "{}", words(who=1), words(since=None), "[" * 100_000, "\udcff"]
)
def test_anything_else_is_an_owner_without_a_name(text):
    assert lock.parse_owner(text) == lock.NAMELESS


@given(st.text())
def test_any_text_is_described(text):
    owner = lock.parse_owner(text)
    assert owner is None or owner.describe()
    assert Owner("a", "b", text, "c").describe().startswith("a, b")
