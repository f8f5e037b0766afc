"""Cancelling scheduled work on a host."""

import os
import time

import pytest

from opstasks.maintenance.onhost import cancel as cancelling
from opstasks.maintenance.onhost import closing, pause_change, restore, store
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import UNPAUSE, Pause, script_dir
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.maintenance.onhost_help import NEW, OLD, locked, make_record, read_record, request_of


@pytest.fixture(autouse=True)
def audit(monkeypatch):
    """The lines for the journal."""
    told = []
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
    make_record(site, NEW)
    with pytest.raises(HostRefusal, match="several are scheduled"):
        cancel(site)
    assert cancel(site, NEW)["item"]["id"] == NEW
    for part in ("2027", NEW[:8]):
        with pytest.raises(HostRefusal, match=f"has the id {part}"):
            cancel(site, part)


def test_work_that_began_after_a_reboot_is_not_cancelled_by_the_id_before(site):
    make_record(site, OLD, outcome="failed")
    make_record(site, f"{OLD}b")
    assert not cancel(site, OLD)["changed"]
    assert read_record(site, f"{OLD}b").outcome == ""
    make_record(site, OLD)
    assert cancel(site, OLD)["item"]["id"] == OLD


@pytest.mark.parametrize("boot", ["now", "before"])
def test_the_end_of_a_pause_that_is_over_blocks_no_cancel(site, boot):
    boot_id = store.boot_id() if boot == "now" else boot
    make_record(site, OLD, kind=UNPAUSE, boot_id=boot_id)
    make_record(site, NEW)
    assert cancel(site)["item"]["id"] == NEW
    assert cancel(site)["item"]["id"] == OLD, "it can be cancelled as well"


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"step": "waiting"},
        {"step": "draining"},
        {"step": "requeueing"},
        {"boot_id": "before"},
        {"boot_id": "before", "step": "draining"},
        {"kind": UNPAUSE},
    ],
)
def test_a_cancel_leaves_no_script_and_no_unit_of_the_boot(site, database, docker, systemd, words):
    make_record(site, **words)
    script_dir(site, OLD).mkdir(parents=True)
    cancel(site)
    assert read_record(site).outcome
    assert not script_dir(site, OLD).exists()
    assert not systemd.has_boot_unit


@pytest.mark.parametrize("step", ["stopping", "snapshot", "requeueing", "verifying"])
def test_past_the_point_of_no_return_a_cancel_is_refused(site, step, systemd, audit):
    systemd.states[f"opstasks-{OLD}.service"] = "active"
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


@pytest.fixture
def killed(site, flags_command, docker, systemd, monkeypatch):
    """A preparation that was killed at a step: `killed("requeueing")`; the service is down."""
    monkeypatch.setattr(restore, "SETTLE_S", 0)
    monkeypatch.setattr(restore, "is_down", systemd.is_down)
    monkeypatch.setattr(restore, "is_up", lambda unit: not systemd.is_down(unit))
    up = {"jobrunner": "active"}
    monkeypatch.setattr(restore, "start_unit", lambda unit, user: systemd.states.update(up))

    def make(step, **words):
        made = make_record(site, step=step, was_active=True, paused_by_us=True, **words)
        pause_change.set_pause(site, Pause(who="a@b", id=OLD, task="prepare-reboot"))
        systemd.kill(OLD)
        return made

    return make


@pytest.mark.parametrize("step", ["stopping", "snapshot", "requeueing", "verifying"])
def test_a_preparation_that_was_killed_is_undone_by_a_cancel(site, killed, systemd, step):
    killed(step)
    done = cancel(site)
    assert done["item"]["outcome"] == "interrupted"
    assert f"at {step!r}; cancelled by c@d" in read_record(site).reason
    assert (done["now"]["service"], done["now"]["paused"]) == ("up", False)


def test_a_killed_wait_for_jobs_starts_no_service_that_others_stopped(site, killed, systemd):
    killed("draining")
    done = cancel(site)
    assert (done["now"]["service"], done["now"]["paused"]) == ("stopped", False)


def broken(*args):
    raise HostFailure("no answer")


@pytest.mark.parametrize(
    ("function", "left"),
    [
        ("start_unit", "jobrunner was not started: no answer"),
        ("is_up", "whether jobrunner stays up is not known: no answer"),
        ("is_down", "whether jobrunner is up is not known: no answer"),
        ("clear_pause", "it is still paused"),
        ("paused_at", "whether it is paused is not known: no answer"),
    ],
)
def test_what_a_cancel_cannot_restore_stays_open_until_it_can(
    site, killed, monkeypatch, audit, systemd, function, left
):
    killed("requeueing")
    with monkeypatch.context() as patch:
        patch.setattr(restore, function, broken)
        done = cancel(site)
    assert (done["item"]["outcome"], done["item"]["left"]) == ("", (left,))
    found = read_record(site)
    assert (found.outcome, found.left) == ("", (left,))
    assert audit[-1] == ("x", "end", "failed")
    assert systemd.has_boot_unit, "a pause that is left ends at the next boot"
    done = cancel(site)
    assert (done["item"]["outcome"], read_record(site).left) == ("interrupted", ())
    assert (done["now"]["service"], done["now"]["paused"]) == ("up", False)


def test_nothing_is_undone_while_somebody_changes_the_host(site, killed, monkeypatch):
    monkeypatch.setattr(cancelling, "LOCK_WAIT_S", 0)
    killed("requeueing")
    with locked(site), pytest.raises(HostRefusal, match="someone is changing the host"):
        cancel(site)
    assert paused_at(site)
    assert read_record(site).outcome == ""


def test_work_that_a_reboot_dropped_is_dismissed(site):
    make_record(site, boot_id="an earlier one")
    assert cancel(site)["item"]["outcome"] == "dropped"
    make_record(site, NEW, boot_id="an earlier one", step="draining")
    assert cancel(site)["item"]["outcome"] == "interrupted", "it had begun"


def test_only_new_records_and_scripts_of_unfinished_work_are_kept(site, monkeypatch):
    monkeypatch.setattr(closing, "KEEP_RECORDS", 2)
    for number in range(4):
        id = f"2026010{number}T000000-aaaaaa"
        make_record(site, id, outcome="ready", scheduled_at=float(number))
        script_dir(site, id).mkdir(parents=True)
    make_record(site, "20250101T000000-aaaaaa")
    closing.prune(site)
    assert [item.id[:8] for item in store.read_items(site.lock_dir)] == [
        "20260103",
        "20260102",
        "20250101",
    ]
    assert list(script_dir(site, OLD).parent.iterdir()) == []


@pytest.mark.parametrize(("age_s", "stays"), [(0, True), (closing.WRITTEN_S + 60, False)])
def test_a_part_of_a_record_that_a_kill_left_is_removed_later(site, age_s, stays):
    part = store.item_path(site.lock_dir, OLD).with_suffix(".json.new")
    part.write_text("{")
    os.utime(part, (time.time() - age_s,) * 2)
    make_record(site, NEW)
    closing.prune(site)
    assert part.exists() == stays
    assert read_record(site, NEW).step == "scheduled"
