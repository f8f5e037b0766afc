"""Judging the records of a host."""

import json
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import InvalidResponse, OpsError
from opstasks.core.result import Result
from opstasks.maintenance import records
from opstasks.maintenance.records import READ, UNREAD, Pause
from tests.maintenance.client_help import (
    BY_BOB,
    DAY,
    LAST_MONTH,
    NOW,
    OURS,
    READY,
    REFUSED,
    UP,
    make_item,
    make_maintenance,
)


def decoded(**words):
    told = {"now_at": NOW, "boot_id": "now", "items": [], **words}
    return READ.decode(Result("python3", 0, json.dumps({"ok": told}), ""), "tpp")


def test_records_are_decoded_into_their_types():
    found = make_maintenance(READY, make_item(), pause=OURS, units=UP)
    assert decoded(**msgspec.to_builtins(found)) == found


@pytest.mark.parametrize(
    "words",
    [
        {"now_at": None},
        {"now_at": 1e12},
        {"now_at": -1},
        {"boot_id": None},
        {"items": None},
        {"items": [None]},
        {"items": [{"id": None}]},
        {"items": [{"id": "one", "due_at": 1e12}]},
        {"items": [{"id": "one", "due_at": None}]},
        {"items": [{"id": "one", "finished_at": -5}]},
        {"items": [{"id": "one", "drain_s": "long"}]},
        {"items": [{"id": "one", "steps": [{"at": 1e12, "text": "x"}]}]},
        {"items": [{"id": "one", "steps": [[1, "x"]]}]},
        {"items": [{"id": "one", "requeued": [None]}]},
        {"items": [{"id": "one", "timed": None}]},
        {"note": {"who": None}},
        {"note": {"until_at": 1e12}},
        {"note": []},
        {"flag_at": 1e12},
        {"flag_error": None},
        {"units": {"a": None}},
    ],
)
def test_nonsense_in_records_is_an_invalid_response(words):
    with pytest.raises(InvalidResponse) as caught:
        decoded(**words)
    assert caught.value.host == "tpp"


@given(st.text(max_size=50))
def test_any_answer_is_decoded_or_an_error_of_that_host(text):
    try:
        READ.decode(Result("python3", 0, text, ""), "tpp")
    except OpsError as error:
        assert error.host == "tpp"


def test_the_reader_asks_for_the_flag_only_when_it_is_wanted(fake_host):
    host = fake_host()
    assert not records.read_command(host.spec).request.with_flag
    assert records.read_command(host.spec, with_flag=True).request.with_flag


def test_a_host_that_was_not_read_has_nothing():
    assert (UNREAD.open(), UNREAD.pause, UNREAD.dropped()) == ((), None, ())
    assert UNREAD.unready() is UNREAD.prepared() is None


def test_the_present_pause_is_that_of_the_flag():
    assert make_maintenance(pause=OURS).pause is OURS
    by_hand = make_maintenance(pause=OURS, flag_at=NOW + 60).pause
    assert by_hand == Pause(since_at=NOW + 60, flag_at=NOW + 60)
    assert make_maintenance(pause=OURS, flag_at=0).pause is None


def test_the_end_of_a_pause_that_is_over_is_shown_as_obsolete():
    end = make_item(kind="unpause")
    current = make_maintenance(end, units=UP, note=Pause(id="one"))
    assert (current.open(), current.obsolete()) == ((end,), ())
    for note in (Pause(id="two"), None):
        found = make_maintenance(end, units=UP, note=note)
        assert (found.open(), found.obsolete()) == ((), (end,))
        assert "its pause is over" in found.reason(end)
        assert "scheduled.cancel one" in found.reason(end)


def test_an_obsolete_end_is_cancelled_only_if_there_is_nothing_else():
    end, work = make_item(kind="unpause"), make_item(id="two")
    assert make_maintenance(end, units=UP).unfinished() == (end,)
    assert make_maintenance(end, work, units=UP).unfinished() == (work,)


def test_a_unit_that_ended_is_not_called_a_host_that_went_down():
    for boot, words in (("now", "its unit ended"), ("before", "the host went down")):
        item = make_item(boot_id=boot, step="requeueing")
        reason = make_maintenance(item).reason(item)
        assert reason.startswith(f"{words} at 'requeueing'")
        assert ("scheduled.cancel one" in reason) == (boot == "now")


def test_a_preparation_says_that_its_host_was_rebooted_since():
    ready = make_item(outcome="ready", reason="1 job requeued")
    assert make_maintenance(ready).reason(ready) == "1 job requeued"
    earlier = replace(ready, boot_id="before")
    assert make_maintenance(earlier).reason(earlier).endswith("; the host was rebooted since then")


def test_dropped_work_is_reported_until_it_is_dismissed():
    item = make_item(boot_id="before")
    found = make_maintenance(item)
    assert found.dropped() == (item,)
    assert "scheduled.cancel one" in found.reason(item)
    dismissed = make_item(boot_id="before", outcome="dropped")
    assert make_maintenance(dismissed).dropped() == ()


def test_work_that_lost_its_timer_is_reported():
    item = make_item()
    assert make_maintenance(item).dropped() == (item,)
    assert "timer is gone" in make_maintenance(item).reason(item)


def test_the_next_work_comes_first():
    late, soon = make_item(id="late", due_at=9.0), make_item(id="soon", due_at=5.0)
    units = {f"opstasks-{name}.timer": "active" for name in ("late", "soon")}
    assert make_maintenance(late, soon, units=units).open() == (soon, late)


@pytest.mark.parametrize(
    ("next_boot", "is_prepared"), [("", True), ("now", True), ("before", False), ("none", False)]
)
def test_a_preparation_belongs_to_one_boot_only(next_boot, is_prepared):
    ready = replace(LAST_MONTH, next_boot=next_boot)
    assert (make_maintenance(ready).prepared() is ready) is is_prepared


@pytest.mark.parametrize("next_boot", ["", "now"])
def test_a_preparation_counts_although_the_clock_was_set_back_before_it(next_boot):
    """The one for an earlier boot has a later time, so it comes first."""
    ready = make_item(id="two", outcome="ready", step="done", boot_id="before", next_boot=next_boot)
    found = make_maintenance(LAST_MONTH, ready)
    assert found.prepared() is ready
    here = replace(ready, boot_id="now", next_boot="")
    assert make_maintenance(LAST_MONTH, here).prepared() is here


@pytest.mark.parametrize(
    ("boot", "ended_s", "age_s"),
    [("now", -60, 60), ("now", 3600, 0), ("before", -60, 60), ("before", 30 * DAY, 30 * DAY)],
)
def test_a_time_that_is_ahead_gives_no_negative_age(boot, ended_s, age_s):
    item = make_item(boot_id=boot, finished_at=NOW + ended_s)
    assert make_maintenance(item).age_s(item) == age_s


def test_a_preparation_stays_valid_after_a_later_refused_one():
    ready = replace(LAST_MONTH, boot_id="now", next_boot="")
    refused = replace(REFUSED, boot_id="now")
    found = make_maintenance(refused, ready)
    assert found.not_rebooted(serving=False, paused=True) is ready


@pytest.mark.parametrize(
    ("serving", "paused", "waits"),
    [(False, True, True), (True, True, False), (False, False, False), (True, False, False)],
)
def test_an_abandoned_preparation_waits_for_no_reboot(serving, paused, waits):
    ready = make_item(outcome="ready", step="done", was_active=True)
    found = make_maintenance(ready, pause=BY_BOB)
    assert (found.not_rebooted(serving=serving, paused=paused) is ready) is waits
