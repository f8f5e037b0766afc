"""Records and notes: their states, their limits, reading and writing them on the disk."""

import dataclasses
import json
import os
import time
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.maintenance.onhost import records, store, write
from opstasks.maintenance.onhost.records import ItemStep, Pause, ScheduledItem, script_dir
from opstasks.maintenance.onhost.unreadable import unreadable
from opstasks.onhost import json_files
from opstasks.onhost.limits import LATEST_AT
from opstasks.onhost.protocol import HostRefusal
from tests.maintenance.onhost_help import NEW, OLD, full_disk, make_record, read_record

UP = {"opstasks-one.timer": "active"}


@pytest.mark.parametrize(
    ("words", "units", "state"),
    [
        ({}, UP, "scheduled"),
        ({}, {}, "timer lost"),
        ({"timed": False}, {}, "scheduled"),
        ({"boot_id": "before"}, UP, "dropped"),
        ({"boot_id": "before", "step": "draining"}, {}, "interrupted"),
        ({"step": "draining"}, {"opstasks-one.service": "active"}, "running"),
        ({"step": "requeueing"}, {"opstasks-one.service": "deactivating"}, "running"),
        ({"step": "requeueing"}, {"opstasks-one.service": "inactive"}, "interrupted"),
        ({"outcome": "ready", "boot_id": "before"}, {}, "ready"),
    ],
)
def test_the_state_of_an_item(words, units, state):
    item = ScheduledItem(
        **{"id": "one", "boot_id": "now", "step": "scheduled", "timed": True, **words}
    )
    assert item.state("now", units) == state


def test_a_note_counts_only_for_its_own_pause():
    note = Pause(who="me", flag_at=1000.4)
    assert records.current_pause(1000.0, note) is note
    by_hand = Pause(since_at=1000.0, flag_at=1000.0)
    assert records.current_pause(1000.0, Pause(who="me", flag_at=940.0)) == by_hand
    assert records.current_pause(1000.0, None) == by_hand
    assert records.current_pause(0.0, note) is None


def test_a_record_survives_a_round_trip_through_json():
    item = ScheduledItem(
        id="one", due_at=5.5, timed=True, steps=(ItemStep(1.0, "a"),), requeued=("x", "y")
    )
    assert records.item_of(json.loads(json.dumps(asdict(item)))) == item
    pause = Pause(who="me", flag_at=5.0, keep=True)
    assert records.pause_of(json.loads(json.dumps(asdict(pause)))) == pause


@pytest.mark.parametrize(
    "odd",
    [
        {"due_at": None},
        {"due_at": 1e12},
        {"due_at": -1},
        {"due_at": 10**400},
        {"due_at": "soon"},
        {"who": None},
        {"who": 7},
        {"timed": 1},
        {"requeued": "abc"},
        {"steps": 3},
        {"steps": [None, 3]},
        {"tomorrow": 1},
    ],
)
def test_invalid_values_in_a_file_are_left_out(odd):
    assert records.item_of({"id": "one", **odd}) == ScheduledItem(id="one")


@pytest.mark.parametrize("words", [{"due_at": 1e12}, {"due_at": -1.0}, {"why": "x" * (2 << 20)}])
def test_values_beyond_their_limits_are_left_out(words):
    with pytest.raises(ValueError, match="out of range"):
        ScheduledItem(id="one", **words)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@given(st.dictionaries(st.sampled_from(list(asdict(ScheduledItem()))), JSON))
def test_any_json_object_is_a_record(found):
    assert isinstance(records.item_of(found), ScheduledItem)


# -- on the disk -----------------------------------------------------------------------------


def test_a_change_keeps_other_values_and_stays_private(site):
    make_record(site, why="patches", steps=(ItemStep(1.0, "a"),))
    write.write_item(site, OLD, outcome="ready")
    found = read_record(site)
    assert (found.why, found.outcome, found.steps) == ("patches", "ready", (ItemStep(1.0, "a"),))
    assert store.item_path(site.lock_dir, OLD).stat().st_mode & 0o777 == 0o640


def test_a_missing_or_broken_record_has_no_step(site):
    assert read_record(site).step == ""
    store.item_path(site.lock_dir, OLD).write_text("{")
    assert read_record(site).step == ""
    assert store.read_items(site.lock_dir) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"id": "x"}', None])
def test_a_record_that_cannot_be_read_is_named_and_hides_no_other(site, text):
    make_record(site, NEW)
    path = records.records_dir(site.lock_dir) / f"{OLD}.json"
    os.mkfifo(path) if text is None else path.write_text(text)
    assert [item.id for item in store.read_items(site.lock_dir)] == [NEW]
    (found,) = unreadable(site.lock_dir)
    assert (found["name"], bool(found["error"])) == (OLD, True)


def test_without_a_record_none_is_unreadable(site, monkeypatch):
    assert unreadable(site.lock_dir) == []

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", denied)
    (found,) = unreadable(site.lock_dir)
    assert "permission denied" in found["error"]


def test_the_newest_record_is_the_newest_by_the_hosts_clock(site):
    make_record(site, NEW, scheduled_at=1.0)
    make_record(site, OLD, scheduled_at=2.0)
    assert [item.id for item in store.read_items(site.lock_dir)] == [OLD, NEW]


def test_records_of_this_boot_come_first_whatever_the_clock_said(site):
    make_record(site, OLD, scheduled_at=9.0, boot_id="before")
    make_record(site, NEW, scheduled_at=1.0)
    assert [item.id for item in store.read_items(site.lock_dir)] == [NEW, OLD]


def test_a_persons_copy_of_a_record_is_no_work(site):
    make_record(site)
    path = store.item_path(site.lock_dir, OLD)
    path.with_name("20260103T000000-cccccc.json").write_text(path.read_text())
    assert [item.id for item in store.read_items(site.lock_dir)] == [OLD]


def test_a_new_record_is_later_than_all_others(site):
    assert store.after_all(site, 5.0) == 5.0
    make_record(site, scheduled_at=9.0)
    assert 9.0 < store.after_all(site, 5.0) < 9.1
    make_record(site, scheduled_at=float(LATEST_AT))
    assert store.after_all(site, 5.0) == LATEST_AT


@pytest.mark.parametrize("clock_s", [0, -1e6], ids=["usual clock", "clock set back before"])
@pytest.mark.parametrize(
    ("age_s", "is_new"), [(5, True), (-5, True), (3600, False), (-3600, False)]
)
def test_a_lost_timer_counts_as_about_to_start_only_for_a_while(site, age_s, is_new, clock_s):
    """Also after the host's clock was set back: `scheduled_at` is then later than the clock."""
    now = time.time()
    item = make_record(site, scheduled_at=now - clock_s)
    os.utime(store.item_path(site.lock_dir, OLD), (now - age_s,) * 2)
    assert store.is_alive(site, item, records.TIMER_LOST) is is_new


def test_a_lost_timer_of_a_record_that_is_gone_is_lost(site):
    item = ScheduledItem(id=OLD, scheduled_at=time.time())
    assert not store.is_alive(site, item, records.TIMER_LOST)


def ready(id, **words):
    return ScheduledItem(id=id, step="done", outcome="ready", **words)


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        # The first one has a later time, but the clock was set back before the second one.
        ({"boot_id": "a", "next_boot": "b"}, {"boot_id": "now"}, "second"),
        ({"boot_id": "a", "next_boot": "b"}, {"boot_id": "b"}, "second"),
        ({"boot_id": "a", "next_boot": "none"}, {"boot_id": "b"}, "second"),
        ({"boot_id": "a", "next_boot": "b"}, {"boot_id": "b", "next_boot": "now"}, "second"),
        ({"boot_id": "a"}, {"boot_id": "b", "next_boot": "now"}, "second"),
        # The second one is really older: it was followed by another one in the same boot.
        ({"boot_id": "a", "next_boot": "b"}, {"boot_id": "a"}, "first"),
        ({"boot_id": "a"}, {"boot_id": "a"}, "first"),
        ({"boot_id": "now"}, {"boot_id": "now"}, "first"),
    ],
)
def test_the_preparation_that_counts_is_chosen_by_boots_before_times(first, second, chosen):
    items = [ready("first", **first), ready("second", **second)]
    assert records.ready_for(items, "now").id == chosen


def test_only_a_preparation_that_was_ready_counts():
    failed = ScheduledItem(id="one", boot_id="now", outcome="failed")
    end = ready("two", kind="unpause", boot_id="now")
    assert records.ready_for([failed, end], "now") is None


def test_each_step_is_noted_with_its_time(site, capsys):
    make_record(site)
    write.add_step(site, OLD, "wait", "waiting")
    write.add_step(site, OLD, "still waiting")
    found = read_record(site)
    assert [step.text for step in found.steps] == ["wait", "still waiting"]
    assert found.step == "waiting"
    assert found.steps[0].at <= found.steps[1].at
    assert '{"part": "wait"}' in capsys.readouterr().out


def test_the_journal_gets_one_line_that_names_the_work(site, commands, tmp_path):
    commands("logger", f"cat >{tmp_path}/line")
    record = dataclasses.replace(make_record(site, why="patches"), login="alice\nMESSAGE=x")
    write.journal(record, "end", "changed", "READY")
    lines = (tmp_path / "line").read_text().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert (len(lines), fields["OPSTASKS_LOGIN"]) == (4, "alice")
    entry = json.loads(fields["MESSAGE"])
    assert (entry["run_id"], entry["task"], entry["args"]) == (
        OLD,
        "prepare-reboot",
        {"why": "patches"},
    )
    assert fields["SYSLOG_IDENTIFIER"] == "opstasks"


# -- small files of JSON ---------------------------------------------------------------------


def test_a_file_is_written_whole_with_its_mode_and_not_through_a_link(tmp_path):
    target, victim = tmp_path / "a.json", tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "a.json.new").symlink_to(victim)
    json_files.write_json(target, {"a": 1}, 0o640)
    assert victim.read_text() == "mine"
    assert json.loads(target.read_text()) == {"a": 1}
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "victim"]


@pytest.mark.parametrize("text", ["", "[]", "{", "7"])
def test_an_invalid_file_reads_as_empty(tmp_path, text):
    (tmp_path / "x").write_text(text)
    assert json_files.read_json(tmp_path / "x") == {}
    assert json_files.read_json(tmp_path / "absent") == {}


def test_a_file_that_cannot_be_written_leaves_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    json_files.write_json(path, {"old": 1}, 0o600)
    monkeypatch.setattr(json_files.json, "dump", full_disk)
    with pytest.raises(OSError, match="No space left"):
        json_files.write_json(path, {"new": 1}, 0o600)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert json_files.read_json(path) == {"old": 1}
    assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "id", ["", "..", "a/b", "../../etc", f"{OLD}/x", f"{OLD}\n", "boot/", "ab"]
)
def test_an_id_that_is_not_ours_is_no_part_of_a_path(site, id):
    for path in (lambda: script_dir(site, id), lambda: store.item_path(site.lock_dir, id)):
        with pytest.raises(HostRefusal, match="not the id of scheduled work"):
            path()
