"""Pausing, unpausing and the timer that ends a pause, with a real database and a real note."""

import os
import sqlite3
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from opstasks.maintenance.onhost import end_pause, pause, pause_change, unpause
from opstasks.maintenance.onhost import timers as onhost_timers
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import (
    UNPAUSE,
    Pause,
    ScheduledItem,
    pause_of,
    pause_path,
    script_dir,
)
from opstasks.onhost.json_files import read_json, write_json
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.maintenance.onhost_help import (
    NEW,
    OLD,
    full_disk,
    make_record,
    outcomes,
    read_record,
    request_of,
    set_flag,
)


def note_file(site):
    return pause_path(site.state_dir)


@pytest.mark.parametrize(
    ("value", "on"), [("true", True), ("True", True), ("1", False), (None, False)]
)
def test_a_flag_is_read_as_job_runner_reads_it(site, database, value, on):
    set_flag(database, value, 100.5)
    assert paused_at(site) == (100.5 if on else 0)


def test_a_database_without_flags_is_not_paused(site):
    sqlite3.connect(site.database).execute("CREATE TABLE job (id TEXT)")
    assert paused_at(site) == 0


def test_a_missing_database_is_an_error(site):
    with pytest.raises((HostFailure, sqlite3.OperationalError), match="unable to open"):
        paused_at(site)


@pytest.mark.parametrize("note", [{}, {"flag_at": 50}, {"flag_at": "x"}, {"flag_at": None}])
def test_a_note_of_another_pause_does_not_count(site, note):
    write_json(note_file(site), {"who": "me", **note}, 0o640)
    assert pause_note(site, 100.0) is None
    assert pause_note(site, 0) is None


def test_a_note_of_this_pause_counts(site):
    write_json(note_file(site), {"who": "me", "flag_at": 100.2}, 0o640)
    assert pause_note(site, 100.0).who == "me"


def test_the_note_is_written_before_the_flag_is_set(site, flags_command, monkeypatch):
    class PowerCutError(Exception):
        pass

    set_by_job_runner = pause_change.job_runner

    def interrupted(*args):
        set_by_job_runner(*args)
        raise PowerCutError

    monkeypatch.setattr(pause_change, "job_runner", interrupted)
    with pytest.raises(PowerCutError):
        pause_change.set_pause(site, Pause(who="x", id="mine"))
    flag_at = paused_at(site)
    assert pause_note(site, flag_at).id == "mine"
    assert pause_of(read_json(note_file(site))).is_of(flag_at + 2)
    # A flag that is set by hand much later is another pause.
    assert pause_note(site, time.time() + 60) is None
    monkeypatch.setattr(pause_change, "job_runner", set_by_job_runner)
    pause_change.set_pause(site, Pause(who="x", id="mine"))
    assert read_json(note_file(site))["settling_s"] == 0


def test_a_timer_ends_only_its_own_pause(site, flags_command):
    item = make_record(site, kind=UNPAUSE)
    assert end_pause.end_pause(site, item)[1] == "it was not paused any more"
    pause_change.set_pause(site, Pause(who="x", id="another"))
    assert "left paused" in end_pause.end_pause(site, item)[1]
    assert paused_at(site)
    pause_change.clear_pause(site)
    pause_change.set_pause(site, Pause(who="x", id=item.id))
    assert end_pause.end_pause(site, item) == ("done", "unpaused")
    assert not paused_at(site)
    assert not note_file(site).exists()


def ended(site):
    """Unpause as somebody who has just looked."""
    return unpause.main(request_of(site, seen_at=paused_at(site)))


def asked(site, **words):
    """Pause as somebody who has just looked; `for_s` is the time until the end."""
    for_s = words.pop("for_s", 0)
    end = ScheduledItem(id=words.pop("id", NEW), host="h", kind=UNPAUSE, timed=True, delay_s=for_s)
    base = {"who": "you", "why": "", "replace": False, "seen_at": paused_at(site)}
    base["end"] = asdict(end) if for_s else None
    return pause.main(request_of(site, **{**base, **words}))


@pytest.fixture
def timers(monkeypatch):
    """The work that was given to systemd."""
    started = []
    monkeypatch.setattr(
        onhost_timers, "start_unit", lambda site, item, module: started.append(item.id)
    )
    return started


def test_ones_own_pause_keeps_what_is_not_named(site, flags_command, timers):
    asked(site, who="me", why="first", for_s=60.0, id=OLD)
    note = pause_of(asked(site, why="second")["pause"])
    assert (note.who, note.why, note.id) == ("me", "second", OLD)
    assert note.until_at == read_record(site, OLD).due_at
    assert (timers, outcomes(site)) == ([OLD], {OLD: ""})


def test_a_new_end_cancels_the_one_before(site, flags_command, timers):
    asked(site, who="me", why="first", for_s=60.0, id=OLD)
    note = pause_of(asked(site, for_s=90.0, id=NEW)["pause"])
    assert (note.why, note.id) == ("first", NEW)
    assert outcomes(site) == {OLD: "cancelled", NEW: ""}


def test_a_pause_that_is_replaced_leaves_nothing_behind(site, flags_command, timers, systemd):
    asked(site, who="ann", why="upgrade", for_s=60.0, id=OLD)
    answer = asked(site, who="bob", replace=True)
    note = pause_of(answer["pause"])
    assert (note.who, note.why, note.until_at, note.id) == ("bob", "", 0, "")
    assert outcomes(site) == {OLD: "cancelled"}
    assert systemd.state(f"opstasks-{OLD}.timer") == "inactive"
    assert answer["now"]["paused"]
    assert answer["now"]["scheduled"] == []


@pytest.mark.parametrize(("seen_at", "now"), [(0.0, "true"), (100.0, None), (50.0, "true")])
def test_a_pause_that_the_person_did_not_see_is_left_alone(
    site, database, flags_command, timers, seen_at, now
):
    set_flag(database, now, 100.0)
    with pytest.raises(HostRefusal, match="has changed since you looked"):
        asked(site, seen_at=seen_at, replace=True, for_s=60.0)
    assert (timers, outcomes(site)) == ([], {})


def test_an_unpause_cancels_the_end_and_removes_what_was_kept_for_it(
    site, flags_command, timers, systemd
):
    asked(site, for_s=60.0, id=OLD)
    script_dir(site, OLD).mkdir(parents=True)
    assert ended(site)["now"]["scheduled"] == []
    assert outcomes(site) == {OLD: "cancelled"}
    assert not script_dir(site, OLD).exists()
    assert not systemd.has_boot_unit


def test_the_boots_unit_stays_for_a_preparation(site, flags_command, timers, systemd):
    """It notes that the preparation was abandoned."""
    make_record(site, NEW, outcome="ready", step="done")
    asked(site)
    ended(site)
    assert systemd.has_boot_unit


def test_a_pause_that_fails_cancels_its_end_again(
    site, flags_command, timers, monkeypatch, systemd
):
    monkeypatch.setattr(pause_change, "write_json", full_disk)
    with pytest.raises((HostFailure, OSError), match=r"(?i)no space left"):
        asked(site, for_s=60.0, id=OLD)
    assert outcomes(site) == {OLD: "cancelled"}
    assert not systemd.has_boot_unit


def test_unpausing_says_whether_the_host_was_paused(site, flags_command):
    asked(site)
    done = ended(site)
    assert (done["changed"], done["now"]["paused"]) == (True, False)
    assert not ended(site)["changed"]


def test_an_unpause_refuses_a_pause_that_was_not_seen(site, flags_command, database):
    asked(site)
    set_flag(database, "true", 100.0)
    with pytest.raises(HostRefusal, match="since you looked: it is paused by hand"):
        unpause.main(request_of(site, seen_at=50.0))
    assert paused_at(site)


def test_a_flag_that_does_not_change_is_a_failure(site, database, monkeypatch):
    monkeypatch.setattr(pause_change, "job_runner", lambda *args: "")
    with pytest.raises(HostFailure, match="is not set"):
        asked(site)
    set_flag(database, "true", 100.0)
    with pytest.raises(HostFailure, match="is still set"):
        ended(site)


def test_a_pause_whose_note_cannot_be_written_is_undone(site, flags_command, monkeypatch):
    monkeypatch.setattr(pause_change, "write_json", full_disk)
    with pytest.raises((HostFailure, OSError), match=r"(?i)no space left"):
        pause_change.set_pause(site, Pause(who="x"))
    assert not paused_at(site)


@pytest.mark.parametrize(("for_s", "name"), [(0.0, "opstasks"), (60.0, "scripts")])
def test_a_pause_that_cannot_be_written_is_refused_first(
    site, flags_command, timers, monkeypatch, for_s, name
):
    path = f"{site.home}/{name}"
    monkeypatch.setattr(os, "access", lambda place, mode: str(place) != path)
    Path(path).mkdir(exist_ok=True)
    with pytest.raises(HostRefusal, match=f"cannot write to {path}") as caught:
        asked(site, for_s=for_s)
    assert caught.value.cause == "closed"
    assert (paused_at(site), timers, outcomes(site)) == (0, [], {})


def test_a_note_that_cannot_be_removed_does_not_keep_the_host_paused(site, flags_command, database):
    set_flag(database, "true", 100.0)
    note_file(site).mkdir()
    assert ended(site)["now"]["paused"] is False


def test_an_earlier_pause_survives_a_note_that_fails(site, flags_command, monkeypatch):
    before = pause_change.set_pause(site, Pause(who="x"))
    monkeypatch.setattr(pause_change, "write_json", full_disk)
    with pytest.raises((HostFailure, OSError), match=r"(?i)no space left"):
        pause_change.set_pause(site, Pause(who="y"))
    assert paused_at(site)
    assert pause_of(read_json(note_file(site))) == pause_of(asdict(before))
