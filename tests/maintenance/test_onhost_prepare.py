"""The preparation itself, on a real database, without systemd, docker or job-runner."""

import contextlib
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from opstasks.maintenance.onhost import claims, pause_change, prepare, restore, run
from opstasks.maintenance.onhost import database as job_database
from opstasks.maintenance.onhost import units as host_units
from opstasks.maintenance.onhost.pause_flag import paused_at
from opstasks.maintenance.onhost.records import PREPARE, Pause
from opstasks.maintenance.onhost.units import start_unit
from opstasks.onhost import database_copy, unit_control
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.maintenance.onhost_help import (
    NEW,
    OLD,
    add_job,
    full_disk,
    locked,
    make_record,
    never,
    read_record,
    request_of,
    set_flag,
)


def test_draining_ends_with_the_jobs_or_with_its_deadline(site, database, monkeypatch):
    monkeypatch.setattr(prepare, "POLL_S", 0.05)
    add_job(database, "a", "running", "executing")
    started = time.monotonic()
    prepare.drain(site, make_record(site, drain_s=0.3))
    assert time.monotonic() - started >= 0.3
    prepare.drain(site, make_record(site, drain_s=0))
    with database:
        database.execute("UPDATE job SET state = 'succeeded'")
    prepare.drain(site, make_record(site, drain_s=3600))


@pytest.fixture
def requeued(site, database, docker):
    """A database and its snapshot after a good requeue of job `a`."""
    add_job(database, "a", "pending", job_database.WAITING_ON_REBOOT)
    add_job(database, "b", "failed", "internal_error")
    copy = job_database.snapshot(site, OLD)
    docker["all"] = ["os-job-b", "os-volume-b-manager"]
    docker["volumes"] = ["os-volume-b"]
    return copy


def test_a_good_requeue_passes_and_a_job_to_retry_keeps_its_container(site, requeued):
    prepare.verify(site, ["a"], requeued)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DELETE FROM job WHERE id = 'b'", "set of jobs changed: b"),
        ("INSERT INTO job VALUES ('c', '', '', 'pending', 'created', 1)", "set of jobs changed: c"),
        ("UPDATE job SET state = 'running' WHERE id = 'b'", "still running: b"),
        ("UPDATE job SET status_code = 'created' WHERE id = 'a'", "not requeued: a"),
    ],
)
def test_a_requeue_that_lost_or_left_a_job_fails(site, database, requeued, change, reason):
    with database:
        database.execute(change)
    with pytest.raises(HostFailure, match=reason):
        prepare.verify(site, ["a"], requeued)


@pytest.mark.parametrize("kind", ["all", "volumes"])
def test_a_requeue_that_left_something_in_docker_fails(site, requeued, docker, kind):
    docker[kind] = [*docker[kind], "os-volume-a"]
    with pytest.raises(HostFailure, match="left in docker: os-volume-a"):
        prepare.verify(site, ["a"], requeued)


def test_a_running_orphan_container_fails(site, requeued, docker):
    docker["running"] = ["os-job-z"]
    with pytest.raises(HostFailure, match="os-job-z"):
        prepare.verify(site, ["a"], requeued)


def test_an_orphan_after_draining_stops_nothing(site, database, docker, monkeypatch):
    monkeypatch.setattr(prepare, "stop_unit", never("stopped"))
    docker["running"] = ["os-job-z"]
    with pytest.raises(HostFailure, match="os-job-z"):
        prepare.requeue(site, make_record(site, step="draining"))


def test_snapshots_are_private_and_few(site, database):
    add_job(database, "a", "running", "executing")
    for number in range(7):
        copy = job_database.snapshot(site, f"2026010{number}T000000-aaaaaa")
    folder = Path(copy).parent
    assert [p.name[:8] for p in sorted(folder.iterdir())] == [f"2026010{n}" for n in range(2, 7)]
    assert os.stat(copy).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_a_new_snapshot_stays_whatever_the_clocks_of_others_said(site, database, ahead_s):
    """The others have names of an operator's clock that was ahead, and times of the host's."""
    folder = job_database.snapshots_dir(site)
    folder.mkdir()
    for number in range(6):
        path = folder / f"2027010{number}T000000-aaaaaa.sqlite"
        path.touch()
        os.utime(path, (time.time() + ahead_s + number,) * 2)
    by_hand = [folder / f"zz-before-{number}.sqlite" for number in range(6)]
    for path in by_hand:
        path.touch()
    made = [job_database.snapshot(site, id) for id in (OLD, NEW)]
    assert job_database.job_ids(site, made[-1]) == set()
    assert all(path.exists() for path in (*map(Path, made), *by_hand))
    ours = [path.name[:8] for path in folder.iterdir() if path not in by_hand]
    assert sorted(ours) == ["20260101", "20260102", "20270103", "20270104", "20270105"]


def test_an_old_snapshot_that_cannot_be_removed_stops_nothing(site, database):
    folder = job_database.snapshots_dir(site)
    for number in range(6):
        (folder / f"2025010{number}T000000-aaaaaa.sqlite").mkdir(parents=True)
    assert Path(job_database.snapshot(site, OLD)).is_file()


def test_running_jobs_have_no_nulls(site, database):
    with database:
        database.execute("INSERT INTO job VALUES ('a', NULL, NULL, 'running', NULL, NULL)")
    assert job_database.running_jobs(site) == [job_database.RunningJob("a", "", "", 0.0)]


@pytest.mark.parametrize(("started", "shown"), [(-5, 0.0), (1e15, 32_503_680_000.0)])
def test_a_job_with_an_odd_time_does_not_stop_a_preparation(site, database, started, shown):
    with database:
        database.execute("INSERT INTO job VALUES ('a', 'w', 'a', 'running', '', ?)", (started,))
    assert [job.started_at for job in job_database.running_jobs(site)] == [shown]


@pytest.mark.parametrize("late_s", [prepare.LATE_S + 60, 30 * 86400])
def test_a_host_that_slept_at_its_time_refuses(site, late_s, monkeypatch):
    monkeypatch.setattr(prepare, "problems", lambda site: [])
    item = make_record(site, due_at=time.time() - late_s)
    with pytest.raises(HostRefusal, match="late: did the host sleep"):
        prepare.prepare(site, item)


def test_a_problem_at_its_time_refuses(site, monkeypatch):
    monkeypatch.setattr(prepare, "problems", lambda site: ["no docker", "no room"])
    with pytest.raises(HostRefusal, match="no docker; no room"):
        prepare.prepare(site, make_record(site, due_at=time.time()))


@pytest.fixture
def units(monkeypatch):
    """The service's unit, up; records what a preparation does with it."""
    up = {"jobrunner": True}
    monkeypatch.setattr(prepare, "problems", lambda site: [])
    for module in (prepare, claims, restore):
        monkeypatch.setattr(module, "is_down", lambda unit: not up[unit])
    monkeypatch.setattr(restore, "is_up", lambda unit: up[unit])
    monkeypatch.setattr(prepare, "stop_unit", lambda unit: up.update({unit: False}))
    monkeypatch.setattr(restore, "SETTLE_S", 0)
    monkeypatch.setattr(restore, "start_unit", lambda unit, user: up.update({unit: True}))
    monkeypatch.setattr(prepare, "add_boot", lambda *a: None)
    monkeypatch.setattr(prepare.signal, "signal", lambda *a: None)
    return up


def test_a_preparation_requeues_running_jobs(
    site, flags_command, database, docker, units, monkeypatch
):
    add_job(database, "a", "running", "executing")
    docker["running"] = ["os-job-a"]

    def requeue(site, module, *, answer, timeout_s):
        assert (module, answer) == ("jobrunner.cli.prepare_for_reboot", "y\n")
        assert not units["jobrunner"]
        with database:
            database.execute("UPDATE job SET state = 'pending', status_code = 'waiting_on_reboot'")
        docker["running"] = []

    monkeypatch.setattr(prepare, "job_runner", requeue)
    item = make_record(site, due_at=time.time(), why="patches", keep_paused=True)
    assert prepare.prepare(site, item) == ("ready", "1 job requeued")
    found = read_record(site)
    assert (found.step, found.requeued, found.was_active, found.paused_by_us) == (
        "done",
        ("a",),
        True,
        True,
    )
    assert Path(found.snapshot).exists()
    note = prepare.pause_note(site, paused_at(site))
    assert (note.id, note.why, note.keep, note.task) == (OLD, "patches", True, "prepare-reboot")
    assert not units["jobrunner"]


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_a_prepared_host_keeps_its_pause_and_is_not_prepared_again(
    site, flags_command, docker, units, monkeypatch, keep, asked
):
    monkeypatch.setattr(prepare, "requeue", never("requeued"))
    first = {"who": "ann", "outcome": "ready", "step": "done", "was_active": True}
    make_record(site, NEW, **first, paused_by_us=True, mounts=("/e",), snapshot="copy")
    pause = Pause(who="ann", why="patches", id=NEW, task=PREPARE, keep=keep)
    before = pause_change.set_pause(site, pause)
    units["jobrunner"] = False
    item = make_record(site, who="bob", why="mine", keep_paused=asked, timed=False)
    assert prepare.prepare(site, item) == ("ready", "prepared already by ann at then")
    note = prepare.pause_note(site, paused_at(site))
    assert note == replace(before, keep=keep or asked)
    found = read_record(site)
    assert (found.was_active, found.mounts, found.snapshot) == (True, ("/e",), "copy")


def test_a_host_is_prepared_although_its_clock_was_set_back(site, flags_command, units):
    earlier = {"boot_id": "before", "next_boot": "this", "scheduled_at": 9.0}
    make_record(site, OLD, outcome="ready", **earlier)
    make_record(site, NEW, outcome="ready", paused_by_us=True, scheduled_at=1.0)
    pause_change.set_pause(site, Pause(id=NEW, task=PREPARE))
    units["jobrunner"] = False
    assert claims.prepared_by(site).id == NEW


def test_a_new_preparation_keeps_the_wish_to_stay_paused(site, flags_command, units):
    """The one before was killed: its person still wants the host to stay paused."""
    pause_change.set_pause(site, Pause(who="ann", id=NEW, task=PREPARE, keep=True))
    prepare.hold_new_work(site, make_record(site, who="bob"))
    assert prepare.pause_note(site, paused_at(site)).keep


@pytest.mark.parametrize(
    ("words", "was_active"),
    [
        ({"outcome": "ready"}, True),
        ({"step": "requeueing"}, True),
        ({"step": "requeueing", "outcome": "interrupted"}, True),
        ({"outcome": "failed", "left": ("jobrunner does not start",)}, True),
        ({"outcome": "failed"}, False),
        ({"outcome": "cancelled"}, False),
        ({"step": "waiting", "outcome": "refused"}, False),
        ({"outcome": "ready", "boot_id": "before"}, False),
    ],
)
def test_a_service_that_an_earlier_preparation_stopped_counts_as_active(
    site, units, words, was_active
):
    units["jobrunner"] = False
    make_record(site, NEW, **{"step": "done", "was_active": True, **words})
    assert prepare.was_active(site, OLD) == was_active


def test_a_snapshot_that_fails_leaves_no_part_of_it(site, database, monkeypatch):
    folder = Path(site.state_dir, "reboots")
    folder.mkdir()
    Path(folder, "20250101T000000-aaaaaa.new-journal").touch()  # of one that was killed

    def fills_up(database, new):
        new.write_text("a part")
        full_disk()

    monkeypatch.setattr(database_copy, "_write_copy", fills_up)
    with pytest.raises(HostFailure, match="no space left"):
        job_database.snapshot(site, OLD)
    assert list(folder.iterdir()) == []


def test_a_pause_by_someone_else_stays_unchanged(site, database, units):
    set_flag(database, "true", 100.0)
    prepare.hold_new_work(site, make_record(site))
    assert paused_at(site) == 100.0
    assert not read_record(site).paused_by_us


def test_a_disk_that_becomes_full_leaves_the_service_running(
    site, flags_command, docker, units, monkeypatch
):
    """Even if the record cannot be written any more, the service is restored."""
    item = make_record(site, due_at=time.time())

    def fills_up(site, id):
        assert paused_at(site)
        assert not units["jobrunner"]
        monkeypatch.setattr(prepare, "write_item", full_disk)
        full_disk()

    monkeypatch.setattr(prepare, "snapshot", fills_up)
    with pytest.raises(OSError, match="No space left"):
        prepare.prepare(site, item)
    assert units["jobrunner"]
    assert not paused_at(site)


def test_the_host_goes_back_however_long_the_reason_is(
    site, flags_command, docker, units, monkeypatch
):
    """A database that lost all its jobs: the names of them all are too long for a record."""
    make_record(site, due_at=time.time())
    monkeypatch.setattr(run, "journal", lambda *a: None)

    def lost(site, id):
        raise HostFailure("the set of jobs changed: " + "x" * 100_000)

    monkeypatch.setattr(prepare, "snapshot", lost)
    answer = prepare.main(request_of(site, id=OLD))
    found = read_record(site)
    assert (answer["outcome"], found.outcome) == ("failed", "failed")
    assert found.reason.startswith("the set of jobs changed: xxx")
    assert units["jobrunner"]
    assert not paused_at(site)


def test_the_record_says_what_could_not_be_restored(site, flags_command, units, monkeypatch):
    """A service that crashes at once, and a flag that stays set."""
    monkeypatch.setattr(restore, "is_down", lambda unit: True)
    monkeypatch.setattr(restore, "is_up", lambda unit: False)
    item = make_record(site, was_active=True, paused_by_us=True, step="snapshot")
    pause_change.set_pause(site, Pause(id=item.id))

    def stuck(site):
        raise HostFailure("job-runner's flag is still set")

    monkeypatch.setattr(restore, "clear_pause", stuck)
    prepare.undo(site, item.id, OSError("broken"))
    assert list(read_record(site).left) == ["jobrunner does not stay up", "it is still paused"]


def test_what_a_preparation_did_not_change_is_not_called_left(site, monkeypatch):
    """Neither systemd nor the database answers, but nothing was stopped or paused."""
    for name in ("is_down", "start_unit", "is_up", "paused_at", "clear_pause"):
        monkeypatch.setattr(restore, name, never("asked"))
    assert restore.restore(site, make_record(site, was_active=True, step="draining")) == []
    assert restore.restore(site, make_record(site, was_active=False, step="snapshot")) == []


@pytest.mark.parametrize(("answer", "left"), [(True, "it is still paused"), (False, "")])
def test_a_pause_whose_end_fails_is_judged_by_the_flag(
    site, flags_command, monkeypatch, answer, left
):
    item = make_record(site, paused_by_us=True, step="draining")
    pause_change.set_pause(site, Pause(id=item.id))
    clear = restore.clear_pause

    def failing(site):
        if not answer:
            clear(site)
        raise HostFailure("connection lost")

    monkeypatch.setattr(restore, "clear_pause", failing)
    assert restore.restore(site, item) == [left] * bool(left)


DROP_IN = {"LoadState": "loaded", "User": "bin", "DropInPaths": "/run/x.conf"}


def test_a_service_that_would_run_as_another_account_is_not_started_again(site, units, monkeypatch):
    """Somebody has added a drop-in while it ran."""
    units["jobrunner"] = False
    monkeypatch.setattr(restore, "start_unit", start_unit)
    monkeypatch.setattr(host_units, "systemctl", never("started"))
    monkeypatch.setattr(unit_control, "read", lambda unit, properties: DROP_IN)
    (left,) = restore.restore(site, make_record(site, was_active=True, step="snapshot"))
    reason = f"jobrunner would run as bin, not as {site.service_user}: /run/x.conf"
    assert left == f"jobrunner was not started: {reason}"


@pytest.mark.parametrize("stage", ["hold_new_work", "drain", "requeue"])
@pytest.mark.parametrize("kind", [HostFailure, HostRefusal, OSError, prepare.StoppedError])
def test_the_service_is_restored_whatever_fails(site, units, monkeypatch, stage, kind):
    undone = []
    for name in ("hold_new_work", "drain", "requeue"):
        monkeypatch.setattr(prepare, name, lambda *a: None)

    def broken(*args):
        raise kind("broken")

    def restore(site, item):
        undone.append(item.id)
        return ["it is still paused"]

    monkeypatch.setattr(prepare, stage, broken)
    monkeypatch.setattr(prepare, "restore", restore)
    # It is paused by now: a refusal would mean that nothing was touched.
    expected = HostFailure if kind is HostRefusal else kind
    with pytest.raises(expected, match="broken"):
        prepare.prepare(site, make_record(site, due_at=time.time()))
    assert undone == [OLD]
    assert read_record(site).left == ("it is still paused",)


def test_a_docker_that_hangs_after_the_stop_restores_the_service(
    site, flags_command, docker, units, monkeypatch
):
    item, begun = make_record(site, due_at=time.time()), []

    def hangs(site):
        assert not units["jobrunner"]
        raise HostFailure("cannot ask docker", "no answer within 60 s")

    monkeypatch.setattr(prepare, "docker_names", hangs)
    monkeypatch.setattr(prepare, "requeue_jobs", lambda site: begun.append(1))
    with pytest.raises(HostFailure, match="cannot ask docker"):
        prepare.prepare(site, item)
    assert (units["jobrunner"], begun) == (True, [])


# -- in the place of another one -------------------------------------------------------------


def begin(site, **words):
    """The preparation NEW, which replaces OLD, as its unit runs it; returns its record."""
    make_record(site, NEW, timed=False, replaces=(OLD,), due_at=time.time(), **words)
    prepare.main(request_of(site, id=NEW))
    return read_record(site, NEW)


@pytest.fixture
def replacing(site, units, monkeypatch):
    """OLD is scheduled by a@b; NEW can be prepared."""
    monkeypatch.setattr(run, "journal", lambda *a: None)
    for name in ("hold_new_work", "drain"):
        monkeypatch.setattr(prepare, name, lambda *a: None)
    monkeypatch.setattr(prepare, "requeue", lambda *a: ("ready", ""))
    monkeypatch.setattr(prepare, "prepared_by", lambda site: None)
    monkeypatch.setattr(prepare, "lasting_mounts", list)
    return make_record(site, OLD)


def test_a_preparation_that_has_the_lock_cancels_the_one_that_it_replaces(site, replacing):
    found = begin(site)
    assert (found.outcome, found.replaced) == ("ready", (f"{OLD} by a@b for then",))
    old = read_record(site, OLD)
    assert (old.outcome, old.reason) == ("cancelled", f"replaced by {NEW}")


def test_one_that_ended_meanwhile_is_not_cancelled(site, replacing):
    make_record(site, OLD, outcome="failed", step="done")
    assert begin(site).replaced == ()
    assert read_record(site, OLD).outcome == "failed"


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("why", ["problem", "lock", "late"])
def test_a_preparation_that_is_refused_leaves_the_others_as_they_were(
    site, replacing, systemd, monkeypatch, killed, why
):
    """What is scheduled stays scheduled, and what was killed can still be restored."""
    if killed:
        make_record(site, OLD, step="requeueing")
        systemd.kill(OLD)
    if why == "problem":
        monkeypatch.setattr(prepare, "problems", lambda site: ["no docker"])
    if why == "late":
        monkeypatch.setattr(prepare, "LATE_S", -1)
    with locked(site) if why == "lock" else contextlib.nullcontext():
        make_record(site, NEW, timed=why == "late", replaces=(OLD,), due_at=time.time())
        prepare.main(request_of(site, id=NEW))
    assert (read_record(site, NEW).outcome, read_record(site, NEW).replaced) == ("refused", ())
    assert read_record(site, OLD).outcome == ""
    assert systemd.state(f"opstasks-{OLD}.timer") == ("inactive" if killed else "active")


def test_a_failure_afterwards_says_what_was_cancelled(site, replacing, monkeypatch):
    def broken(*args):
        raise HostFailure("no answer")

    monkeypatch.setattr(prepare, "requeue", broken)
    found = begin(site)
    assert (found.outcome, found.replaced) == ("failed", (f"{OLD} by a@b for then",))
