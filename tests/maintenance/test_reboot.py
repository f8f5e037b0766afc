"""The client's side of pauses and reboots: what records mean, what is shown, what is asked."""

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import Interrupted, Lost, Refused, TimedOut, Unreachable, VerifyFailed
from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.read import JobsAnswer
from opstasks.maintenance import after, flags, prepare, records
from opstasks.maintenance import scheduled_tasks as scheduled
from opstasks.maintenance import tasks as reboot
from opstasks.maintenance.flags import Pause
from opstasks.maintenance.records import PREPARE, UNPAUSE, Item, Maintenance
from opstasks.status import read as status

NOW = 1_800_000_000.0
SPEC = HostSpec(name="h")


def item(**words):
    return Item(**{"id": "one", "boot_id": "now", "step": "armed", "timed": True, **words})


def host(*items, units=(), **words):
    base = {"now": NOW, "boot_id": "now", "items": items, "units": dict(units)}
    return Maintenance(**{**base, **words})


UP = {"opstasks-one.timer": "active"}


# -- what a record means ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "units", "state"),
    [
        ({}, UP, "armed"),
        ({}, {}, "timer lost"),
        ({"timed": False}, {}, "armed"),
        ({"boot_id": "before"}, UP, "dropped"),
        ({"boot_id": "before", "step": "draining"}, {}, "cut off"),
        ({"step": "draining"}, {"opstasks-one.service": "active"}, "running"),
        ({"step": "requeueing"}, {"opstasks-one.service": "deactivating"}, "running"),
        ({"step": "requeueing"}, {"opstasks-one.service": "inactive"}, "cut off"),
        ({"outcome": "ready", "boot_id": "before"}, {}, "ready"),
    ],
)
def test_where_a_piece_of_work_stands(record, units, state):
    one = item(**record)
    assert host(one, units=units).state(one) == state


def test_the_end_of_a_pause_that_is_over_lies_no_longer_ahead():
    one = item(kind=UNPAUSE)
    assert host(one, units=UP, pause=Pause(id="one")).open() == (one,)
    assert host(one, units=UP, pause=Pause(id="two")).open() == ()
    assert host(one, units=UP).open() == ()


def test_a_unit_that_ended_in_this_boot_is_not_said_to_be_a_host_that_went_down():
    for boot, words in (("now", "its unit ended"), ("before", "the host went down")):
        one = item(boot_id=boot, step="requeueing")
        assert host(one).why_so(one) == f"{words} at 'requeueing'"


def test_what_a_reboot_dropped_is_told_until_it_is_dismissed():
    one = item(boot_id="before")
    assert host(one).dropped() == (one,)
    assert "scheduled.cancel one" in host(one).why_so(one)
    assert host(item(boot_id="before", outcome="dropped")).dropped() == ()


def test_records_of_another_version_are_read_as_far_as_they_go():
    found = records.parse(
        json.dumps(
            {
                "now": NOW,
                "zone": "UTC",
                "boot_id": "now",
                "units": {},
                "pause": {"who": "me", "flag_time": 5, "tomorrow": 1},
                "records": [{"id": "one", "steps": [[1, "x"]], "tomorrow": 1}],
            }
        )
    )
    assert found.items[0].steps == ([1, "x"],)
    assert found.pause == Pause(who="me", flag_time=5)


@given(st.text(max_size=30))
def test_a_host_that_answers_nonsense_has_no_records(text):
    assert records.parse("!" + text) == Maintenance()


def test_what_lies_ahead_comes_first_and_of_the_past_only_so_many():
    past = [item(id=f"p{n}", outcome="ready") for n in range(4)]
    entries = scheduled._entries(host(*past, item(), units=UP), 2)
    assert [entry["id"] for entry in entries] == ["one", "p0", "p1"]


# -- pauses ----------------------------------------------------------------------------------


def paused(value="true", since=NOW):
    return JobsAnswer(NOW, {"paused": (value, since)}, {}, ())


def test_a_note_counts_only_for_its_own_pause():
    note = Pause(who="me", flag_time=NOW + 0.4)
    assert flags.pause_of(paused(), note) is note
    by_hand = flags.pause_of(paused(), Pause(who="me", flag_time=NOW - 60))
    assert by_hand == Pause(since=NOW, flag_time=NOW)
    assert flags.pause_of(paused(), None) == by_hand


@pytest.mark.parametrize(
    "database", [JobsAnswer(NOW, {}, {}, ()), *map(paused, ("false", "1", ""))]
)
def test_no_flag_no_pause(database):
    assert flags.pause_of(database, Pause(who="me", flag_time=NOW)) is None


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        (Pause(since=NOW - 25 * 3600, who="ann"), "forgotten"),
        (Pause(since=NOW - 23 * 3600, who="ann"), ""),
        (Pause(since=NOW - 48 * 3600, until=NOW + 60), ""),
        (Pause(since=NOW - 60, until=NOW - 600), "should have ended"),
        (Pause(since=NOW - 60, until=NOW - 5), ""),
        (None, ""),
    ],
)
def test_a_pause_without_an_end_older_than_a_day_and_one_overdue_need_a_person(pause, words):
    found = status._pause_attention(pause, NOW)
    assert bool(found) == bool(words)
    assert words in "".join(found)


def test_status_shows_who_paused_why_and_until_and_what_is_armed():
    blank = Result("", 0, "", "")
    database = {"now": NOW, "counts": {}, "jobs": [], "flags": {"paused": ["true", NOW]}}
    told = {"now": NOW, "zone": "UTC", "boot_id": "now", "units": UP}
    told["pause"] = {"flag_time": NOW, "since": NOW, "until": NOW + 7200, "who": "ann", "why": "db"}
    told["records"] = [
        {
            "id": "one",
            "kind": PREPARE,
            "boot_id": "now",
            "step": "armed",
            "timed": True,
            "due": NOW + 7200,
        }
    ]
    results = dict.fromkeys(status.commands(SPEC), blank)
    results["jobs"] = Result("", 0, json.dumps({"ok": database}), "")
    results["maintenance"] = Result("", 0, json.dumps(told), "")
    found = status.judge(SPEC, results, NOW)
    for word in ("ann", "db", "until", time.strftime("%H:%M", time.gmtime(NOW + 7200))):
        assert word in found.paused
    assert found.scheduled == "prepare-reboot in 2h"


# -- times -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["22:00", " 07:05 ", "2026-12-01 22:00", "2026-12-01T22:00"])
def test_times_that_are_taken(text):
    assert prepare.check_at(text) in ("22:00", "07:05", "2026-12-01 22:00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "22",
        "24:00",
        "7:05",
        "22:60",
        "2026-02-30 10:00",
        "now",
        "2026-12-01",
        "22:00; reboot",
        "22:00\n23:00",
        "\uff12\uff12:00",
    ],
)
def test_times_that_make_no_sense_are_refused(text):
    with pytest.raises(Refused):
        prepare.check_at(text)


def test_a_time_is_shown_in_both_zones_where_they_differ():
    both = prepare.when(NOW, "2027-01-15 22:00:00 XYZ")
    assert "22:00:00 XYZ" in both
    assert "here" in both
    here = both.partition("(")[2].removesuffix(" here)")
    assert prepare.when(NOW, here) == here


# -- the checklist ---------------------------------------------------------------------------

GOOD = {
    "booted": NOW - 60,
    "docker": True,
    "network": {"name": "jobrunner-db", "there": True, "fenced": True},
    "mounted": ["/", "/e", "/srv"],
    "fstab": ["/srv"],
    "service": {"ActiveState": "active", "SubState": "running"},
    "sync": {"LoadState": "not-found"},
    "jobs": {"a": ["running", "executing"]},
    "error": "",
}
READY = item(
    outcome="ready",
    step="done",
    boot_id="before",
    was_active=True,
    requeued=("a",),
    mounts=("/e",),
)
OURS = Pause(task=PREPARE, who="ann", id="one")


def bad(pause=None, ready=READY, units=(), items=(), **found):
    known = (ready, *items) if ready else tuple(items)
    facts = after.Facts({**GOOD, **found}, host(*known, units=units), pause)
    lines = after.judge("h", facts)
    assert all(line.hint for line in lines if not line.good), "what fails has a hint"
    return {line.what for line in lines if not line.good}


def test_a_host_that_came_back_whole_passes():
    assert bad() == set()
    assert bad(ready=None, jobs={}) == set()


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ({"docker": False}, "docker"),
        ({"network": {"name": "n", "there": False, "fenced": True}}, "database network"),
        ({"network": {"name": "n", "there": True, "fenced": False}}, "database network"),
        ({"mounted": ["/", "/srv"]}, "mounts"),
        ({"mounted": ["/", "/e"]}, "mounts"),
        ({"service": {"ActiveState": "activating", "SubState": "auto-restart"}}, "service"),
        ({"jobs": {}}, "requeued jobs"),
        ({"jobs": {"a": ["pending", "waiting_on_reboot"]}}, "requeued jobs"),
        ({"jobs": {"a": ["pending", "paused"]}}, "requeued jobs"),
        ({"jobs": {"a": ["failed", "internal_error"]}}, "requeued jobs"),
        ({"error": "database is locked"}, "requeued jobs"),
        ({"pause": OURS}, "pause"),
        ({"pause": Pause(who="bob", until=NOW - 900)}, "pause"),
        ({"sync": {"UnitFileState": "enabled", "ActiveState": "inactive"}}, "level 3 sync"),
        ({"items": [item(id="two", boot_id="before")]}, "scheduled"),
    ],
)
def test_each_thing_that_is_not_back_fails_its_line(found, line):
    assert bad(**found) == {line}


@pytest.mark.parametrize(
    "found",
    [
        {"jobs": {"a": ["pending", "waiting_on_workers"]}},
        {"jobs": {"a": ["failed", "nonzero_exit"]}},
        {"pause": Pause(who="bob")},
        {"pause": Pause(who="bob"), "jobs": {"a": ["pending", "paused"]}},
        {"sync": {"UnitFileState": "enabled", "ActiveState": "active"}},
        {"sync": {"UnitFileState": "disabled", "ActiveState": "inactive"}},
        {
            "service": {"ActiveState": "inactive"},
            "ready": item(outcome="ready", step="done", boot_id="before", was_active=False),
        },
    ],
)
def test_what_is_as_it_should_be_passes(found):
    assert bad(**found) == set()


def test_only_a_pause_of_ours_that_the_boot_left_is_ended():
    def ours(pause, ready=READY, boot_done=True):
        return after.ours_to_end(after.Facts(GOOD, host(ready), pause, boot_done))

    assert ours(OURS)
    assert not ours(OURS, boot_done=False), "the boot is at it, or has yet to come to it"
    assert not ours(OURS, ready=item(outcome="ready", step="done")), "not rebooted yet"
    assert ours(OURS, ready=item(step="draining", boot_id="before")), "it was cut off"
    assert not ours(Pause(who="bob"))
    assert not ours(None)


def test_what_nobody_is_going_to_end_is_not_waited_for():
    waiting = {**GOOD, "jobs": {"a": ["pending", "waiting_on_reboot"]}}

    def waited(pause, boot_done):
        lines = after.judge("h", after.Facts(waiting, host(READY), pause, boot_done))
        return {line.what for line in lines if not line.good and line.may_come}

    assert waited(OURS, boot_done=False) == {"requeued jobs", "pause"}
    assert waited(OURS, boot_done=True) == set(), "a dry run, or not rebooted yet"
    assert waited(None, boot_done=True) == {"requeued jobs"}


# -- preparations that came to nothing -------------------------------------------------------

DAY = 24 * 3600
REFUSED = item(
    id="two",
    outcome="refused",
    step="waiting",
    boot_id="before",
    reason="someone is changing the host",
    due_there="22:00",
    finished=NOW - 3600,
)
CUT_OFF = item(id="two", step="draining", boot_id="before", steps=([NOW - 3600, "pause"],))
LAST_MONTH = item(outcome="ready", step="done", boot_id="long ago", next_boot="before")


def boot_line(*items, boot_done=True, **words):
    facts = after.Facts(GOOD, host(*items, **words), None, boot_done)
    return next(line for line in after.judge("h", facts) if line.what == "boot")


@pytest.mark.parametrize("older", [(), (LAST_MONTH,), (replace(LAST_MONTH, next_boot=""),)])
@pytest.mark.parametrize("tried", [REFUSED, CUT_OFF, replace(REFUSED, outcome="failed")])
def test_a_reboot_after_a_preparation_that_came_to_nothing_is_told(tried, older):
    line = boot_line(tried, *older)
    assert not line.good
    for word in ("two", host(tried).why_so(tried), "jobs that ran then may have failed"):
        assert word in line.text
    assert line.hint == "inv -H h jobs.ls --state failed --since 1d"
    assert not line.may_come
    assert boot_line(tried, *older, boot_done=False).may_come, "the boot may know better"


def test_the_cure_reaches_back_to_the_preparation():
    late = host(REFUSED, now=NOW + 3 * DAY)
    lines = after.judge("h", after.Facts(GOOD, late, None))
    assert "--since 4d" in lines[0].hint


def test_without_a_reboot_it_is_told_for_a_day():
    for ago, good in ((3600, False), (DAY + 1, True)):
        line = boot_line(replace(REFUSED, boot_id="now", finished=NOW - ago))
        assert line.good is good
        assert good or "may have failed" not in line.text


def test_what_was_cancelled_dismissed_or_never_begun_hides_nothing_and_is_no_attempt():
    for outcome, step in (("cancelled", "waiting"), ("dropped", "armed"), ("failed", "armed")):
        newer = item(id="new", outcome=outcome, step=step, boot_id="before", finished=NOW - 60)
        assert "two" in boot_line(newer, REFUSED).text
        assert boot_line(newer, LAST_MONTH).good
    armed = item(id="new")
    assert "two" in boot_line(armed, REFUSED, units={"opstasks-new.timer": "active"}).text
    dismissed = replace(CUT_OFF, outcome="cut off")
    assert boot_line(dismissed, LAST_MONTH).good
    long_ago = replace(REFUSED, finished=NOW - 8 * DAY)
    assert boot_line(long_ago).good


def test_a_reboot_that_nobody_prepared_does_not_pass_for_a_prepared_one():
    for next_boot, prepared in (("", True), ("now", True), ("before", False), ("none", False)):
        ready = replace(LAST_MONTH, next_boot=next_boot, who="ann")
        line = boot_line(ready)
        assert line.good
        assert ("prepared" in line.text and "ann" in line.text) is prepared
        assert (host(ready).prepared() is ready) is prepared


def test_what_is_refused_while_the_host_is_prepared_takes_nothing_from_it():
    ready = item(outcome="ready", step="done", boot_id="before", next_boot="now", who="ann")
    assert boot_line(REFUSED, ready).good
    assert "ann" in boot_line(REFUSED, ready).text
    here = [replace(i, boot_id="now", next_boot="") for i in (REFUSED, ready)]
    assert host(*here).not_rebooted(serving=False, paused=True) is here[1]


def attention(*items, **words):
    return status._scheduled_attention(host(*items, **words), True, None)


def test_status_tells_of_it_for_a_day_or_until_there_is_a_newer_one():
    (text,) = attention(REFUSED, LAST_MONTH)
    assert text == "prepare-reboot for 22:00 refused: someone is changing the host (two)"
    assert "cut off" in attention(CUT_OFF)[0]
    assert attention(REFUSED, now=NOW + DAY) == []
    assert attention(LAST_MONTH, REFUSED) == []
    assert attention(item(), REFUSED, units=UP) == [], "armed anew"


# -- stopping --------------------------------------------------------------------------------


def stopped_after_reboot(monkeypatch, paused):
    """Ctrl-C while something is still coming; what it says then."""

    def checkpoint(where):
        raise Interrupted(where)

    pauses, down = [paused, None], {**GOOD, "docker": False}

    def gather(_):
        return after.Facts(down, host(READY), pauses.pop(0))

    monkeypatch.setattr(after, "gather", gather)
    monkeypatch.setattr(after.pausing, "unpause", lambda host: None)
    with pytest.raises(Interrupted) as caught:
        after.look_after(SimpleNamespace(name="h", checkpoint=checkpoint))
    return str(caught.value)


def test_a_checklist_that_is_stopped_says_whether_it_has_ended_a_pause(monkeypatch):
    assert "the pause of the preparation was ended" in stopped_after_reboot(monkeypatch, OURS)
    assert "only looked at" in stopped_after_reboot(monkeypatch, None)


@pytest.mark.parametrize(
    ("dry", "words"), [(True, "nothing was changed"), (False, "may have been ended")]
)
def test_ctrl_c_in_a_checklist_claims_no_more_than_is_true(dry, words):
    class Stopped(Exception):
        pass

    def gather(work, *, interrupted, changes):
        raise Stopped(interrupted)

    ctx = SimpleNamespace(fleet=SimpleNamespace(gather=gather), options=SimpleNamespace(dry=dry))
    with pytest.raises(Stopped, match=words):
        reboot.after_reboot.body(ctx)


# -- following -------------------------------------------------------------------------------


class Away:
    """A host whose connection falls silent once, and then tells that the work is done."""

    name, spec = "h", HostSpec(name="h", address="h")

    def __init__(self, trouble):
        self.root, self.troubles, self.closed = self, [trouble], 0

    def output(self, command):
        assert command.timeout_s <= 10
        if self.troubles:
            raise self.troubles.pop()
        return json.dumps(
            {
                "now": 1,
                "zone": "UTC",
                "boot_id": "b",
                "records": [{"id": "x", "outcome": "ready", "boot_id": "b"}],
                "pause": {},
                "units": {},
            }
        )

    def close(self):
        self.closed += 1

    def pause(self, seconds):
        pass

    step = checkpoint = pause


@pytest.mark.parametrize("trouble", [Unreachable("lost"), TimedOut("no answer"), Lost("lost")])
def test_a_connection_that_is_lost_or_silent_is_made_anew_and_followed_to_the_end(trouble):
    host = Away(trouble)
    assert prepare.follow(host, "x").outcome == "ready"
    assert host.closed == 1


def test_what_could_not_be_put_back_is_in_the_error():
    host = Away(Lost("lost"))
    with pytest.raises(VerifyFailed, match="went back to where it was"):
        prepare._judge(host, item(outcome="failed", reason="broken"))
    with pytest.raises(VerifyFailed, match="going back failed: it is still paused"):
        prepare._judge(host, item(outcome="failed", reason="broken", left=("it is still paused",)))


@pytest.mark.parametrize(
    ("serving", "pause", "waits"),
    [(False, OURS, True), (True, OURS, False), (False, None, False), (True, None, False)],
)
def test_a_preparation_that_was_given_up_waits_for_no_reboot(serving, pause, waits):
    ready = item(outcome="ready", step="done", was_active=True)
    state = {"ActiveState": "active" if serving else "inactive", "SubState": "running"}
    assert ("boot" in bad(pause, ready, service=state, jobs={})) == waits
    assert bool(status._scheduled_attention(host(ready), serving, pause)) == waits
