"""The checklist after a reboot: which line fails when, and its hint."""

import json
from dataclasses import replace

import msgspec
import pytest

from opstasks.core.errors import InvalidResponse
from opstasks.core.result import Result
from opstasks.maintenance.after import AFTER
from opstasks.maintenance.checklist import (
    AfterFacts,
    DatabaseNetwork,
    RequeuedJob,
    is_ours_to_end,
    make_lines,
    state_of,
)
from opstasks.maintenance.onhost.units import HostUnit
from tests.maintenance.client_help import (
    BY_BOB,
    DAY,
    GOOD,
    INTERRUPTED,
    LAST_MONTH,
    NOW,
    OURS,
    READY,
    REFUSED,
    make_item,
    make_maintenance,
)


def job(state, code):
    return {"a": RequeuedJob(state, code)}


def bad(pause=None, ready=READY, items=(), flag_error="", **found):
    """The names of the lines that fail."""
    known = (ready, *items) if ready else tuple(items)
    maintenance = make_maintenance(*known, pause=pause, flag_error=flag_error)
    lines = make_lines("h", AfterFacts(replace(GOOD, **found), maintenance))
    assert all(line.hint for line in lines if not line.good), "what fails has a hint"
    return {line.what for line in lines if not line.good}


def test_a_recovered_host_passes():
    assert bad() == set()
    assert bad(ready=None, jobs={}) == set()


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ({"has_docker": False}, "docker"),
        ({"network": DatabaseNetwork("n", exists=False, is_isolated=True)}, "database network"),
        ({"network": DatabaseNetwork("n", exists=True, is_isolated=False)}, "database network"),
        ({"mounted": ("/", "/srv")}, "mounts"),
        ({"mounted": ("/", "/e")}, "mounts"),
        ({"service": HostUnit(active="activating", sub="auto-restart")}, "service"),
        ({"service": HostUnit()}, "service"),
        ({"jobs": {}}, "requeued jobs"),
        ({"jobs": job("pending", "waiting_on_reboot")}, "requeued jobs"),
        ({"jobs": job("pending", "paused")}, "requeued jobs"),
        ({"jobs": job("failed", "internal_error")}, "requeued jobs"),
        ({"error": "database is locked"}, "requeued jobs"),
        ({"flag_error": "database is locked"}, "pause"),
        ({"pause": OURS}, "pause"),
        ({"pause": replace(BY_BOB, until_at=NOW - 900)}, "pause"),
        ({"sync": HostUnit(enabled="enabled", active="inactive")}, "level 3 sync"),
        ({"items": [make_item(id="two", boot_id="before")]}, "scheduled"),
    ],
)
def test_each_thing_that_is_not_back_fails_its_line(found, line):
    assert bad(**found) == {line}


@pytest.mark.parametrize(
    "found",
    [
        {"jobs": job("pending", "waiting_on_workers")},
        {"jobs": job("failed", "nonzero_exit")},
        {"pause": BY_BOB},
        {"pause": BY_BOB, "jobs": job("pending", "paused")},
        {"sync": HostUnit(enabled="enabled", active="active")},
        {"sync": HostUnit(enabled="disabled", active="inactive")},
        {
            "service": HostUnit(active="inactive"),
            "ready": make_item(outcome="ready", step="done", boot_id="before", was_active=False),
        },
    ],
)
def test_things_that_are_right_pass(found):
    assert bad(**found) == set()


def facts(*items, pause=None, boot_done=True, found=GOOD, **words):
    return AfterFacts(found, make_maintenance(*items, pause=pause, **words), boot_done)


def test_only_our_own_pause_from_before_the_boot_is_ended():
    assert is_ours_to_end(facts(READY, pause=OURS))
    assert not is_ours_to_end(facts(READY, pause=OURS, boot_done=False)), "the boot may end it"
    here = make_item(outcome="ready", step="done")
    assert not is_ours_to_end(facts(here, pause=OURS)), "not rebooted yet"
    interrupted = make_item(step="draining", boot_id="before")
    assert is_ours_to_end(facts(interrupted, pause=OURS))
    assert not is_ours_to_end(facts(READY, pause=BY_BOB))
    assert not is_ours_to_end(facts(READY))


def test_only_things_that_may_recover_are_waited_for():
    waiting = replace(GOOD, jobs=job("pending", "waiting_on_reboot"))

    def waited(pause, boot_done):
        lines = make_lines("h", facts(READY, pause=pause, boot_done=boot_done, found=waiting))
        return {line.what for line in lines if not line.good and line.may_come}

    assert waited(OURS, boot_done=False) == {"requeued jobs", "pause"}
    assert waited(OURS, boot_done=True) == set(), "a dry run, or not rebooted yet"
    assert waited(None, boot_done=True) == {"requeued jobs"}


@pytest.mark.parametrize(
    ("serving", "pause", "waits"),
    [(False, OURS, True), (True, OURS, False), (False, None, False), (True, None, False)],
)
def test_an_abandoned_preparation_waits_for_no_reboot(serving, pause, waits):
    ready = make_item(outcome="ready", step="done", was_active=True)
    service = HostUnit(active="active" if serving else "inactive", sub="running")
    assert ("boot" in bad(pause, ready, service=service, jobs={})) == waits


# -- preparations that did not succeed -------------------------------------------------------


def boot_line(*items, boot_done=True, **words):
    lines = make_lines("h", facts(*items, boot_done=boot_done, **words))
    return next(line for line in lines if line.what == "boot")


@pytest.mark.parametrize("older", [(), (LAST_MONTH,), (replace(LAST_MONTH, next_boot=""),)])
@pytest.mark.parametrize("tried", [REFUSED, INTERRUPTED, replace(REFUSED, outcome="failed")])
def test_a_reboot_after_a_failed_preparation_is_reported(tried, older):
    line = boot_line(tried, *older)
    assert not line.good
    for word in (
        "two",
        make_maintenance(tried).reason(tried),
        "jobs that ran then may have failed",
    ):
        assert word in line.text
    assert line.hint == "inv -H h jobs.ls --state failed --since 1d"
    assert not line.may_come
    assert boot_line(tried, *older, boot_done=False).may_come, "the boot may know better"


def test_the_hint_reaches_back_to_the_preparation():
    assert "--since 4d" in boot_line(REFUSED, now_at=NOW + 3 * DAY).hint


def test_without_a_reboot_it_is_reported_for_a_day():
    for ago, good in ((3600, False), (DAY + 1, True)):
        line = boot_line(replace(REFUSED, boot_id="now", finished_at=NOW - ago))
        assert line.good is good
        assert good or "may have failed" not in line.text


@pytest.mark.parametrize(
    ("outcome", "step"),
    [("cancelled", "waiting"), ("dropped", "scheduled"), ("failed", "scheduled")],
)
def test_work_that_never_began_hides_no_earlier_failure(outcome, step):
    newer = make_item(id="new", outcome=outcome, step=step, boot_id="before", finished_at=NOW - 60)
    assert "two" in boot_line(newer, REFUSED).text
    assert boot_line(newer, LAST_MONTH).good


def test_a_failure_is_reported_until_dismissed_or_a_week_old():
    ahead = make_item(id="new")
    assert "two" in boot_line(ahead, REFUSED, units={"opstasks-new.timer": "active"}).text
    dismissed = replace(INTERRUPTED, outcome="interrupted")
    assert boot_line(dismissed, LAST_MONTH).good
    long_ago = replace(REFUSED, finished_at=NOW - 8 * DAY)
    assert boot_line(long_ago).good
    ahead_of_the_clock = replace(REFUSED, finished_at=NOW + 30 * DAY)
    assert boot_line(ahead_of_the_clock).good, "the clock was set back since then"


def test_an_unprepared_reboot_is_not_taken_for_a_prepared_one():
    for next_boot, prepared in (("", True), ("now", True), ("before", False), ("none", False)):
        line = boot_line(replace(LAST_MONTH, next_boot=next_boot, who="ann"))
        assert line.good
        assert ("prepared" in line.text and "ann" in line.text) is prepared


def test_a_refusal_leaves_a_prepared_host_prepared():
    ready = make_item(outcome="ready", step="done", boot_id="before", next_boot="now", who="ann")
    assert boot_line(REFUSED, ready).good
    assert "ann" in boot_line(REFUSED, ready).text


# -- nonsense --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        {"booted_at": 1e12},
        {"booted_at": None},
        {"has_docker": "yes"},
        {"network": {"name": None, "exists": True, "is_isolated": True}},
        {"mounted": None},
        {"fstab": [None]},
        {"service": {"active": None}},
        {"jobs": {"a": {"state": None, "code": ""}}},
        {"jobs": {"a": ["pending", "x"]}},
        {"error": None},
    ],
)
def test_nonsense_of_a_host_is_an_invalid_response(words):
    told = {**msgspec.to_builtins(GOOD), **words}
    with pytest.raises(InvalidResponse) as caught:
        AFTER.decode(Result("", 0, json.dumps({"ok": told}), ""), "tpp")
    assert caught.value.host == "tpp"


@pytest.mark.parametrize(
    ("words", "claim"),
    [
        ({}, {"service": "up", "paused": False, "boot_id": "now", "jobs": {"a": "running"}}),
        ({"pause": BY_BOB}, {"service": "up", "paused": True}),
        ({"flag_error": "database is locked"}, {"service": "up", "paused": None}),
    ],
)
def test_the_state_of_a_host_is_claimed_as_it_was_read(words, claim):
    now = state_of(AfterFacts(GOOD, make_maintenance(READY, **words)))
    assert {name: getattr(now, name) for name in claim} == claim


@pytest.mark.parametrize(
    ("made", "undo"),
    [
        ({"was_active": True, "paused_by_us": True}, "service.start unpause"),
        ({"was_active": True, "paused_by_us": False}, "service.start"),
        ({"was_active": False, "paused_by_us": True}, "unpause"),
        ({"was_active": False, "paused_by_us": False}, ""),
    ],
)
def test_a_cancelled_reboot_gives_back_only_what_was_changed(made, undo):
    maintenance = make_maintenance(replace(READY, boot_id="now", **made), pause=OURS)
    service = replace(GOOD.service, active="inactive")
    lines = make_lines("h", AfterFacts(replace(GOOD, service=service), maintenance))
    (boot,) = [line for line in lines if line.what == "boot"]
    assert boot.text.startswith("not rebooted since it was prepared")
    assert boot.hint == "reboot it" + (f", or cancel the reboot: inv -H h {undo}" if undo else "")
