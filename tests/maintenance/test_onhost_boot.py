"""The program that runs once after a boot: which pause ends, and what is noted."""

import time

import pytest

from opstasks.maintenance.onhost import boot, pause_change
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import PREPARE, UNPAUSE, Pause, script_dir
from opstasks.maintenance.onhost.store import boot_id
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.maintenance.onhost_help import (
    NEW,
    OLD,
    make_record,
    outcomes,
    read_record,
    request_of,
    set_flag,
)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No unit of the boot, and no journal."""
    monkeypatch.setattr(boot, "remove_boot_unit", lambda site: None)
    monkeypatch.setattr(boot, "journal", lambda *a: None)


@pytest.mark.parametrize(
    ("words", "in_s", "done"),
    [
        ({"task": PREPARE}, 0, "unpaused"),
        ({"task": PREPARE, "keep": True}, 0, "stays paused, as requested"),
        ({"task": "pause"}, 0, "stays paused"),
        ({"task": "pause"}, -5, "unpaused"),
        ({"task": "pause"}, 500, "scheduled again"),
    ],
)
def test_the_boot_ends_only_an_overdue_pause_or_that_of_a_preparation(
    site, monkeypatch, words, in_s, done
):
    ended = []
    monkeypatch.setattr(boot, "clear_pause", lambda site: ended.append(1))
    monkeypatch.setattr(boot, "schedule_anew", lambda *a: "scheduled again")
    until_at = time.time() + in_s if in_s else 0.0
    note = Pause(id="x", who="me", until_at=until_at, **words)
    assert boot.after_boot(site, note) == done
    assert bool(ended) == (done == "unpaused")


@pytest.mark.parametrize("kind", [HostRefusal, HostFailure])
def test_a_pause_that_the_boot_cannot_end_is_an_error(site, monkeypatch, kind):
    def stuck(site):
        raise kind("stuck")

    told = []
    monkeypatch.setattr(boot, "clear_pause", stuck)
    monkeypatch.setattr(boot, "journal", lambda item, *words: told.append(words))
    with pytest.raises(kind, match="stuck"):
        boot.after_boot(site, Pause(id="x", who="me", task=PREPARE))
    assert told == [("start",), ("end", "failed", "stuck")]


def booted(site, database, paused):
    set_flag(database, "true" if paused else None, 100.0)
    return boot.main(request_of(site))


@pytest.mark.parametrize(
    ("ours", "paused", "noted"), [(True, True, True), (True, False, False), (False, False, True)]
)
def test_a_boot_notes_its_own_preparation(site, database, ours, paused, noted):
    """A preparation of ours without its pause was abandoned before."""
    words = {"outcome": "ready", "boot_id": "before", "paused_by_us": ours}
    make_record(site, NEW, scheduled_at=1.0, **words)
    make_record(site, OLD, scheduled_at=2.0, **words)
    booted(site, database, paused)
    newest = read_record(site, OLD)
    assert newest.next_boot == (boot_id() if noted else "none"), "the newest by its clock"
    assert read_record(site, NEW).next_boot == "none", "the one before it was for no boot"


def test_a_boot_notes_nothing_twice_nor_before_the_reboot(site, database):
    make_record(site, OLD, outcome="ready", boot_id="before", next_boot="another one")
    booted(site, database, True)
    assert read_record(site, OLD).next_boot == "another one"
    make_record(site, NEW, outcome="ready")
    booted(site, database, True)
    assert read_record(site, NEW).next_boot == ""


def test_a_boot_notes_its_preparation_after_the_clock_was_set_back(site, database):
    made = {"outcome": "ready", "paused_by_us": True}
    make_record(site, OLD, scheduled_at=9.0, boot_id="first", next_boot="before", **made)
    make_record(site, NEW, scheduled_at=1.0, boot_id="before", **made)
    booted(site, database, True)
    found = [read_record(site, id).next_boot for id in (OLD, NEW)]
    assert found == ["before", boot_id()]


def test_a_preparation_after_the_boot_does_not_hide_the_one_before_it(site, database):
    make_record(site, OLD, outcome="ready", boot_id="before")
    make_record(site, NEW, outcome="ready")
    booted(site, database, True)
    assert [read_record(site, id).next_boot for id in (OLD, NEW)] == [boot_id(), ""]


@pytest.fixture
def paused(site, flags_command, monkeypatch):
    """A pause from before the boot: `paused(task="pause", until_at=...)`."""

    def make(**words):
        with monkeypatch.context() as patch:
            patch.setattr(pause_change, "boot_id", lambda: "before")
            return pause_change.set_pause(site, Pause(who="me", why="db", id=OLD, **words))

    return make


def test_the_end_of_a_pause_survives_the_reboot(site, paused, monkeypatch):
    handed = []
    monkeypatch.setattr(boot, "hand_over", lambda site, item, module: handed.append((item, module)))
    make_record(site, OLD, kind=UNPAUSE, boot_id="before")
    script_dir(site, OLD).mkdir(parents=True)
    before = paused(task="pause", until_at=time.time() + 500)
    assert boot.main(request_of(site)) == {"done": "the end of the pause is scheduled again"}
    ((item, module),) = handed
    assert (item.id, item.kind, item.due_at, item.why) == (
        OLD + "b",
        UNPAUSE,
        before.until_at,
        "db",
    )
    assert module == "opstasks.maintenance.onhost.end_pause"
    note = pause_note(site, paused_at(site))
    assert (note.id, note.since_at, note.boot_id) == (item.id, before.since_at, boot_id())
    assert outcomes(site) == {OLD: "dropped"}
    assert not script_dir(site, OLD).exists()


ODD_IDS = ["../../elsewhere", "a/b", "..", "a\nb", "", "x", OLD + "b" * 20, OLD + "\n"]


@pytest.mark.parametrize("id", ODD_IDS)
def test_the_boot_takes_no_path_from_the_note_of_the_service_account(
    site, flags_command, monkeypatch, id
):
    handed = []
    monkeypatch.setattr(boot, "hand_over", lambda site, item, module: handed.append(item))
    monkeypatch.setattr(boot, "remove_script", lambda site, id: pytest.fail(id))
    with monkeypatch.context() as patch:
        patch.setattr(pause_change, "boot_id", lambda: "before")
        words = {"who": "a\nb", "why": "c\rd", "task": "pause", "until_at": time.time() + 500}
        pause_change.set_pause(site, Pause(id=id, **words))
    assert boot.main(request_of(site)) == {"done": "the end of the pause is scheduled again"}
    ((item),) = handed
    who = f"{site.service_user} (a?b)"
    assert (item.id, item.who, item.why) == ("bootb", who, "c?d")
    assert pause_note(site, paused_at(site)).id == "bootb"


@pytest.mark.parametrize(
    "record",
    [
        {"kind": PREPARE, "boot_id": "before"},
        {"kind": UNPAUSE, "boot_id": "before", "outcome": "done"},
    ],
)
def test_a_note_that_names_other_work_changes_no_record_of_root(
    site, flags_command, monkeypatch, record
):
    handed = []
    monkeypatch.setattr(boot, "hand_over", lambda site, item, module: handed.append(item))
    monkeypatch.setattr(boot, "remove_script", lambda site, id: pytest.fail(id))
    before = make_record(site, OLD, who="ada@laptop", **record)
    with monkeypatch.context() as patch:
        patch.setattr(pause_change, "boot_id", lambda: "before")
        words = {"who": "mallory", "task": "pause", "until_at": time.time() + 500}
        pause_change.set_pause(site, Pause(id=OLD, **words))
    boot.main(request_of(site))
    assert read_record(site, OLD) == before
    assert [item.who for item in handed] == ["ada@laptop"], "root's own record says who it was"


def test_a_note_that_a_power_cut_left_becomes_an_exact_one(
    site, database, flags_command, monkeypatch
):
    """While the flag was being set, its note counted for half a minute; that is over then."""
    monkeypatch.setattr(boot, "hand_over", lambda *a: None)
    words = {"who": "me", "task": "pause", "until_at": time.time() + 500, "boot_id": "before"}
    set_flag(database, "true", 105.0)
    pause_change.write_note(site, Pause(id=OLD, flag_at=100.0, settling_s=30, **words))
    boot.main(request_of(site))
    assert pause_note(site, paused_at(site)).settling_s == 0


def test_the_pause_of_a_preparation_ends_with_the_boot(site, paused):
    paused(task=PREPARE)
    assert boot.main(request_of(site)) == {"done": "unpaused"}
    assert not paused_at(site)


def test_the_boots_unit_stays_while_a_pause_of_this_boot_needs_it(site, flags_command, monkeypatch):
    removed = []
    monkeypatch.setattr(boot, "remove_boot_unit", lambda site: removed.append(1))
    pause_change.set_pause(site, Pause(id=OLD, task="pause"))
    boot.main(request_of(site))
    assert removed == []
    pause_change.clear_pause(site)
    boot.main(request_of(site))
    assert removed == [1]
