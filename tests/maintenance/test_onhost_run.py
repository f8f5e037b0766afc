"""Scheduled work is done once, and its record says how it ended."""

import re
import sqlite3
import types

import pytest

from opstasks.maintenance.onhost import prepare, restore, run
from opstasks.maintenance.onhost.store import item_path
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.maintenance.onhost_help import (
    NEW,
    OLD,
    another_process,
    full_disk,
    make_record,
    never,
    read_record,
    request_of,
)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No journal, and no signals of the test's own process."""
    monkeypatch.setattr(run, "journal", lambda *a: None)
    monkeypatch.setattr(run.signal, "signal", lambda *a: None)


def ran(site, work):
    return run.run_scheduled(site, OLD, work)


def test_finished_or_cancelled_work_is_not_started(site, monkeypatch):
    monkeypatch.setattr(prepare, "prepare", never("begun"))
    for words in ({"outcome": "cancelled"}, {"step": "waiting"}, {"outcome": "ready"}):
        make_record(site, **words)
        answer = prepare.main(request_of(site, id=OLD))
        assert answer == {"outcome": "", "reason": "it is not scheduled any more"}
    assert prepare.main(request_of(site, id=NEW))["outcome"] == ""


@pytest.mark.parametrize(
    ("error", "outcome", "reason", "detail"),
    [
        (HostRefusal("no", "because"), "refused", "no", "because"),
        (HostFailure("broken", "last lines"), "failed", "broken", "last lines"),
        (ValueError("odd"), "failed", "ValueError: odd", ""),
    ],
)
def test_the_record_says_how_work_ended(site, error, outcome, reason, detail):
    def work(site, item):
        raise error

    make_record(site)
    assert ran(site, work) == (outcome, reason)
    found = read_record(site)
    assert (found.outcome, found.reason, found.detail) == (outcome, reason, detail)
    assert found.finished_at
    assert [step.text for step in found.steps] == ["wait for the lock"]


def test_the_lock_is_held_until_the_outcome_is_written(site, monkeypatch):
    written = []

    def write(site, id, **changes):
        if "outcome" in changes:
            with another_process(), pytest.raises(HostRefusal), run.lock(site, item, 0):
                pass
            written.append(changes["outcome"])

    item = make_record(site)
    monkeypatch.setattr(run, "write_item", write)
    assert ran(site, lambda site, item: ("ready", "2 jobs")) == ("ready", "2 jobs")
    assert written == ["ready"]


def test_an_outcome_that_cannot_be_written_is_an_error(site, monkeypatch):
    make_record(site)
    monkeypatch.setattr(run, "write_item", full_disk)
    with pytest.raises(OSError, match="No space left"):
        ran(site, lambda site, item: ("ready", ""))


@pytest.mark.parametrize(
    ("state", "outcome", "reason"),
    [("running", "cancelled", "unit was stopped"), ("stopping", "failed", "host went down")],
)
def test_a_stop_is_a_cancel_unless_the_host_goes_down(site, monkeypatch, state, outcome, reason):
    def stop(*args):
        raise run.StoppedError

    monkeypatch.setattr(prepare, "prepare", stop)
    monkeypatch.setattr(run, "call", lambda *a, **k: types.SimpleNamespace(stdout=state + "\n"))
    make_record(site, reboot=True)
    assert prepare.main(request_of(site, id=OLD))["outcome"] == outcome
    found = read_record(site)
    assert found.outcome == outcome
    assert reason in found.reason


def is_locked(site):
    """Whether somebody holds the host's lock."""
    try:
        with another_process(), run.lock(site, read_record(site), 0):
            return False
    except HostRefusal:
        return True


@pytest.fixture
def rebooting(site, monkeypatch):
    """What is told to systemd, and whether the host's lock was held then."""
    told = []

    def tell(*words, **options):
        assert is_locked(site)
        told.append(words[-1])

    monkeypatch.setattr(prepare, "SEEN_S", 0)
    monkeypatch.setattr(prepare, "HELD_S", 0)
    monkeypatch.setattr(prepare, "required", tell)
    monkeypatch.setattr(prepare, "prepared_by", lambda site: read_record(site))
    return told


@pytest.mark.parametrize("outcome", ["ready", "failed", "refused", "cancelled"])
@pytest.mark.parametrize("wanted", [True, False])
def test_the_host_is_rebooted_only_when_it_is_ready(site, monkeypatch, rebooting, outcome, wanted):
    make_record(site, reboot=wanted)
    monkeypatch.setattr(prepare, "prepare", lambda site, item: (outcome, ""))
    prepare.main(request_of(site, id=OLD))
    assert rebooting == (["reboot"] if wanted and outcome == "ready" else [])
    assert item_path(site.lock_dir, OLD).exists()


def unreadable(site):
    raise sqlite3.OperationalError("database is locked")


@pytest.mark.parametrize(
    ("prepared_by", "reason"),
    [
        (lambda site: None, "somebody has changed the host"),
        (unreadable, "whether it is still prepared is not known .*database is locked"),
    ],
    ids=["changed", "unreadable"],
)
@pytest.mark.parametrize("is_down", [True, False])
@pytest.mark.parametrize("is_paused", [True, False])
def test_a_host_that_was_changed_after_it_was_prepared_is_not_rebooted(
    site, monkeypatch, rebooting, prepared_by, reason, is_down, is_paused
):
    """What was not changed back is in the record: the next preparation knows about it."""
    make_record(site, reboot=True, was_active=True, paused_by_us=True)
    monkeypatch.setattr(prepare, "prepare", lambda site, item: ("ready", ""))
    monkeypatch.setattr(prepare, "prepared_by", prepared_by)
    monkeypatch.setattr(restore, "is_down", lambda unit: is_down)
    monkeypatch.setattr(restore, "holds_pause", lambda site, item: is_paused)
    with pytest.raises(HostFailure, match=f"{reason}.*, so it was not rebooted"):
        prepare.main(request_of(site, id=OLD))
    assert rebooting == []
    found = read_record(site)
    assert (found.outcome, bool(re.match(reason, found.reason))) == ("failed", True)
    left = {"jobrunner is stopped": is_down, "it is still paused": is_paused}
    assert list(found.left) == [text for text, is_left in left.items() if is_left]


def test_the_lock_is_held_while_a_client_sees_that_the_host_is_ready(site, monkeypatch, rebooting):
    """Nobody begins a change that the reboot would cut off."""
    waits = []

    def wait(seconds):
        seen = read_record(site).outcome
        assert is_locked(site)
        waits.append(seen)

    make_record(site, reboot=True)
    monkeypatch.setattr(prepare, "prepare", lambda site, item: ("ready", ""))
    monkeypatch.setattr(prepare.time, "sleep", wait)
    prepare.main(request_of(site, id=OLD))
    assert waits == ["ready", "ready"], "before the reboot, and until it ends the program"


@pytest.mark.parametrize("error", [HostRefusal("no"), HostFailure("broken"), ValueError("odd")])
def test_the_lock_is_held_until_a_failure_is_written(site, monkeypatch, error):
    written = []

    def write(site, id, **changes):
        if "outcome" in changes:
            assert is_locked(site)
            written.append(changes["outcome"])

    def fail(site, item):
        raise error

    make_record(site)
    monkeypatch.setattr(run, "write_item", write)
    ran(site, fail)
    assert len(written) == 1
