"""Cancelling scheduled work on a host."""

import pytest

from opstasks.maintenance.onhost import cancel as cancelling
from opstasks.maintenance.onhost import pause_change, store
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import UNPAUSE, Pause, script_dir
from opstasks.onhost.protocol import HostRefusal
from tests.maintenance.onhost_help import NEW, OLD, make_record, read_record, request_of


@pytest.fixture(autouse=True)
def audit(monkeypatch):
    """No systemd; the lines for the journal."""
    told = []
    monkeypatch.setattr(cancelling, "call", lambda *a, **k: None)
    monkeypatch.setattr(
        cancelling, "journal", lambda item, phase, *rest: told.append((item.id, phase, *rest[:1]))
    )
    return told


def cancel(site, id=""):
    return cancelling.main(request_of(site, id=id, run_id="x", who="c@d", why=""))


def test_the_only_one_is_cancelled_without_its_id_and_only_once(site, audit):
    make_record(site)
    assert cancel(site)["changed"]
    assert read_record(site).outcome == "cancelled"
    assert "c@d" in read_record(site).reason
    assert not cancel(site)["changed"]
    assert cancel(site)["item"] is None
    assert cancel(site, OLD)["item"]["outcome"] == "cancelled"
    assert audit == [("x", "start"), ("x", "end", "changed")]


def test_if_several_are_scheduled_one_must_be_named(site):
    make_record(site, OLD)
    make_record(site, NEW, kind=UNPAUSE)
    with pytest.raises(HostRefusal, match="several are scheduled"):
        cancel(site)
    assert cancel(site, "20260102")["item"]["id"] == NEW
    with pytest.raises(HostRefusal, match="has the id 2027"):
        cancel(site, "2027")


@pytest.mark.parametrize("step", ["stopping", "snapshot", "requeueing", "verifying"])
def test_past_the_point_of_no_return_a_cancel_is_refused(site, step, monkeypatch, audit):
    monkeypatch.setattr(cancelling, "is_down", lambda unit: False)
    make_record(site, step=step)
    with pytest.raises(HostRefusal, match="too late"):
        cancel(site)
    assert read_record(site).outcome == ""
    assert audit[-1] == ("x", "end", "refused")


def test_a_host_stays_paused_when_the_end_is_cancelled(site, flags_command):
    item = make_record(site, kind=UNPAUSE)
    pause = Pause(who="x", why="night", id=item.id, until_at=9e9)
    note = pause_change.set_pause(site, pause)
    assert "until `unpause`" in cancel(site)["item"]["reason"]
    after = pause_note(site, paused_at(site))
    assert (after.until_at, after.id) == (0, "")
    assert (after.who, after.why, after.since_at) == (note.who, note.why, note.since_at)
    # Cancelling the end of a pause that is already over changes nothing.
    other = make_record(site, NEW, kind=UNPAUSE)
    assert "until" not in cancel(site, other.id)["item"]["reason"]
    assert pause_note(site, paused_at(site)) == after


def test_interrupted_work_is_dismissed(site, monkeypatch):
    monkeypatch.setattr(cancelling, "is_down", lambda unit: unit.startswith("opstasks-2026"))
    make_record(site, step="requeueing")
    assert cancel(site)["item"]["outcome"] == "interrupted"
    assert "requeueing" in read_record(site).reason


def test_work_that_a_reboot_dropped_is_dismissed(site):
    make_record(site, boot_id="an earlier one")
    assert cancel(site)["item"]["outcome"] == "dropped"
    make_record(site, NEW, boot_id="an earlier one", step="draining")
    assert cancel(site)["item"]["outcome"] == "interrupted", "it had begun"


def test_only_new_records_and_scripts_of_unfinished_work_are_kept(site, monkeypatch):
    monkeypatch.setattr(cancelling, "KEEP_RECORDS", 2)
    for number in range(4):
        id = f"2026010{number}T000000-aaaaaa"
        make_record(site, id, outcome="ready", scheduled_at=float(number))
        script_dir(site, id).mkdir(parents=True)
    make_record(site, "20250101T000000-aaaaaa")
    cancelling.prune(site)
    assert [item.id[:8] for item in store.read_items(site.lock_dir)] == [
        "20260103",
        "20260102",
        "20250101",
    ]
    assert list(script_dir(site, OLD).parent.iterdir()) == []
