"""The host's side of a preparation, on real databases and files, without systemd or docker."""

import fcntl
import getpass
import json
import os
import sqlite3
import time
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.fleet import old_program as remote
from opstasks.jobs.read import JobsAnswer
from opstasks.maintenance import flags, records
from opstasks.maintenance.flags import Pause
from opstasks.maintenance.onhost import after as ra
from opstasks.maintenance.onhost import prepare as remote_prepare
from opstasks.maintenance.onhost import records as rr
from opstasks.onhost import mounts as remote_mounts

# One namespace, as it is on a host.
rm = types.ModuleType("remote_maintenance")
exec(remote.text("opstasks.maintenance.onhost.maintenance"), vars(rm))


@pytest.fixture
def site(tmp_path):
    (tmp_path / "scheduled").mkdir()
    (tmp_path / "opstasks").mkdir()
    return {
        "host": "h",
        "service_user": getpass.getuser(),
        "home": str(tmp_path),
        "state_dir": str(tmp_path / "opstasks"),
        "lock_dir": str(tmp_path),
        "lock_file": str(tmp_path / "lock"),
        "code": str(tmp_path / "code"),
        "config_dir": str(tmp_path),
        "database": str(tmp_path / "db.sqlite"),
        "unit": "jobrunner",
    }


@pytest.fixture
def database(site):
    connection = sqlite3.connect(site["database"])
    connection.executescript(
        "CREATE TABLE job (id TEXT, workspace TEXT, action TEXT, state TEXT, status_code TEXT,"
        " started_at INT); CREATE TABLE flags (id TEXT, value TEXT, timestamp TIMESTAMP);"
    )
    yield connection
    connection.close()


def add(database, id, state, code):
    with database:
        database.execute("INSERT INTO job VALUES (?, 'w', 'a', ?, ?, 5)", (id, state, code))


def set_flag(database, value, when):
    with database:
        database.execute("DELETE FROM flags")
        database.execute("INSERT INTO flags VALUES ('paused', ?, ?)", (value, when))


def record(site, id="20260101T000000-aaaaaa", **words):
    base = {"id": id, "host": "h", "kind": rm.PREPARE, "who": "a@b", "why": "", "outcome": ""}
    base |= {"step": "armed", "boot_id": rm.boot_id(), "due": 0, "due_there": "then", "timed": True}
    rm.write_json(rm.record_path(site, id), {**base, **words}, 0o644)
    return rm.read_record(site, id)


# -- when ------------------------------------------------------------------------------------


@pytest.fixture
def london(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


NOON_IN_JULY = 1782990000  # 2026-07-02 11:00 UTC, 12:00 in London


def test_a_time_of_day_is_the_hosts_and_the_next_one_to_come(london):
    assert rm.resolve("22:00", 0, NOON_IN_JULY) == NOON_IN_JULY + 10 * 3600
    assert rm.resolve("11:59", 0, NOON_IN_JULY) == NOON_IN_JULY + 24 * 3600 - 60
    assert rm.host_time(rm.resolve("22:00", 0, NOON_IN_JULY)) == "2026-07-02 22:00:00 BST"


def test_a_day_with_a_time_is_the_hosts(london):
    assert (
        rm.host_time(rm.resolve("2026-12-01 22:00", 0, NOON_IN_JULY)) == "2026-12-01 22:00:00 GMT"
    )


def test_a_time_that_the_change_of_the_clocks_leaves_out_is_refused(london):
    with pytest.raises(rm.StepError, match="clocks change"):
        rm.resolve("2026-03-29 01:30", 0, NOON_IN_JULY)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(1_700_000_000, 1_900_000_000))
def test_a_time_of_day_comes_within_a_day(hour, minute, now):
    due = rm.resolve(f"{hour:02}:{minute:02}", 0, now)
    assert now < due <= now + 25 * 3600
    assert time.localtime(due)[3:6] == (hour, minute, 0)


@given(st.integers(1, 10**7), st.floats(1.7e9, 1.9e9))
def test_a_delay_is_never_shortened(delay, now):
    assert 0 <= rm.resolve("", delay, now) - (now + delay) < 1


# -- small things ----------------------------------------------------------------------------


def test_a_file_is_written_whole_with_its_mode_and_never_through_a_link(tmp_path):
    target, victim = tmp_path / "a.json", tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "a.json.new").symlink_to(victim)
    rm.write_json(target, {"a": 1}, 0o640)
    assert victim.read_text() == "mine"
    assert json.loads(target.read_text()) == {"a": 1}
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "victim"]


@pytest.mark.parametrize("text", ["", "[]", "{", "7"])
def test_a_file_that_makes_no_sense_is_none(tmp_path, text):
    (tmp_path / "x").write_text(text)
    assert rm.read_json(tmp_path / "x") == {}
    assert rm.read_json(tmp_path / "absent") == {}


IDS = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=16, max_size=16)


@given(IDS, IDS)
def test_only_containers_and_volumes_of_the_job_count_as_its_own(id, other):
    for name in (f"os-job-{id}", f"os-volume-{id}", f"os-volume-{id}-manager"):
        assert rm.of_jobs(name, [id])
        assert rm.of_jobs(name, [other]) == (id == other)
    for name in (id, f"os-job-{id}x", f"xos-job-{id}", f"os-job-{id}-manager-2", ""):
        assert not rm.of_jobs(name, [id])


def test_an_answer_from_the_service_account_comes_back_and_so_does_a_failure(site):
    assert rm.as_service(site, lambda: {"a": [1, "x"]}) == {"a": [1, "x"]}

    def fail():
        raise rm.StepError("no", "because", refused=True)

    with pytest.raises(rm.StepError, match="no") as caught:
        rm.as_service(site, fail)
    assert (caught.value.detail, caught.value.refused) == ("because", True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_is_done_as_the_service_account_is_not_done_as_root(site):
    site["service_user"] = "nobody"
    assert rm.as_service(site, os.geteuid) != 0
    assert rm.call("id", "-u", **rm.account(site)).stdout.strip() != "0"
    assert os.geteuid() == 0


# -- the lock --------------------------------------------------------------------------------


def test_the_lock_keeps_others_out_names_its_holder_and_is_let_go(site):
    item = record(site)
    with rm.lock(site, item, 0):
        words = json.loads(Path(site["lock_file"]).read_text())
        assert (words["who"], words["task"]) == ("a@b", rm.PREPARE)
        with (
            pytest.raises(rm.StepError, match="a@b, prepare-reboot") as caught,
            rm.lock(site, item, 0),
        ):
            pass
        assert caught.value.refused
    assert Path(site["lock_file"]).read_text() == ""
    with rm.lock(site, item, 0):
        pass


def test_the_lock_is_waited_for(site):
    item = record(site)
    with Path(site["lock_file"]).open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        started = time.monotonic()
        with pytest.raises(rm.StepError), rm.lock(site, item, 0.3):
            pass
        assert time.monotonic() - started >= 0.3


# -- the pause -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "on"), [("true", True), ("True", True), ("1", False), (None, False)]
)
def test_a_flag_counts_as_job_runner_counts_it(site, database, value, on):
    set_flag(database, value, 100.5)
    assert rm.flag(site) == (100.5 if on else 0)


def test_a_database_without_flags_is_not_paused(site):
    sqlite3.connect(site["database"]).execute("CREATE TABLE job (id TEXT)")
    assert rm.flag(site) == 0


@pytest.mark.parametrize("note", [{}, {"flag_time": 50}, {"flag_time": "x"}, {"flag_time": None}])
def test_a_note_of_another_pause_says_nothing(site, note):
    rm.write_json(rm.pause_path(site), {"who": "me", **note}, 0o640)
    assert rm.pause_note(site, 100.0) == {}
    assert rm.pause_note(site, 0) == {}


def test_a_note_of_this_pause_counts(site):
    rm.write_json(rm.pause_path(site), {"who": "me", "flag_time": 100.2}, 0o640)
    assert rm.pause_note(site, 100.0)["who"] == "me"


@pytest.fixture
def flags_command(site, database, monkeypatch):
    """job-runner's own command for flags, without job-runner."""

    def run(site, module, *args, **options):
        assert module == "jobrunner.cli.flags"
        set_flag(database, args[-1].partition("=")[2] or None, time.time())
        return ""

    monkeypatch.setattr(rm, "job_runner", run)
    monkeypatch.setattr(rm, "forget_boot", lambda site: None)


def test_whose_a_pause_is_stands_there_before_it_holds(site, flags_command, monkeypatch):
    class PowerCutError(Exception):
        pass

    set_by_job_runner = rm.job_runner

    def cut_off(*args):
        set_by_job_runner(*args)
        raise PowerCutError

    monkeypatch.setattr(rm, "job_runner", cut_off)
    with pytest.raises(PowerCutError):
        rm.set_pause(site, who="x", id="mine")
    note = rm.read_json(rm.pause_path(site))
    assert rm.pause_note(site, rm.flag(site))["id"] == "mine"
    paused = JobsAnswer(0.0, {"paused": ("true", rm.flag(site) + 2)}, {}, ())
    whose = Pause(id="mine", flag_time=note["flag_time"], settling_s=note["settling_s"])
    assert flags.pause_of(paused, whose) == whose
    # One that somebody sets by hand much later is somebody's.
    assert rm.pause_note(site, time.time() + 60) == {}
    monkeypatch.setattr(rm, "job_runner", set_by_job_runner)
    rm.set_pause(site, who="x", id="mine")
    assert "settling_s" not in rm.read_json(rm.pause_path(site))


def test_the_end_of_a_pause_ends_that_pause_only(site, flags_command):
    item = record(site, kind=rm.UNPAUSE)
    assert rm.end_pause(site, item, "")[1] == "it was not paused any more"
    rm.set_pause(site, who="x", id="another")
    assert "left alone" in rm.end_pause(site, item, "")[1]
    assert rm.flag(site)
    rm.clear_pause(site)
    rm.set_pause(site, who="x", id=item["id"])
    assert rm.end_pause(site, item, "") == ("done", "unpaused")
    assert not rm.flag(site)
    assert not rm.pause_path(site).exists()


def test_a_second_pause_keeps_what_it_does_not_ask_anew(site, flags_command):
    asked = {"site": site, "who": "me", "why": "first", "until": 9e9, "id": "one"}
    assert rm.op_pause(asked)["changed"]
    assert not rm.op_pause({"site": site, "who": "you", "why": ""})["changed"]
    note = rm.op_pause({"site": site, "who": "you", "why": "second"})["pause"]
    assert (note["who"], note["why"], note["until"], note["id"]) == ("me", "second", 9e9, "one")


def test_after_the_boot_only_a_pause_of_a_preparation_or_one_overdue_ends(site, monkeypatch):
    ended = []
    monkeypatch.setattr(rm, "clear_pause", lambda site: ended.append(1))
    monkeypatch.setattr(rm, "keep_time", lambda *a: "kept")
    monkeypatch.setattr(rm, "journal", lambda *a: None)
    notes = [
        ({"task": rm.PREPARE}, "unpaused"),
        ({"task": rm.PREPARE, "keep": True}, "stays paused, as was asked"),
        ({"task": "pause", "until": 0}, "stays paused"),
        ({"task": "pause", "until": time.time() - 5}, "unpaused"),
        ({"task": "pause", "until": time.time() + 500}, "kept"),
    ]
    for note, want in notes:
        assert rm.after_boot(site, {"id": "x", "who": "me", **note}, "") == want
    assert len(ended) == 2


# -- the steps -------------------------------------------------------------------------------


def test_draining_ends_with_the_jobs_or_with_its_deadline(site, database, monkeypatch):
    monkeypatch.setattr(rm, "POLL_S", 0.05)
    add(database, "a", "running", "executing")
    started = time.monotonic()
    rm.drain(site, record(site, drain_s=0.3))
    assert time.monotonic() - started >= 0.3
    rm.drain(site, record(site, drain_s=0))
    with database:
        database.execute("UPDATE job SET state = 'succeeded'")
    rm.drain(site, record(site, drain_s=3600))


@pytest.fixture
def docker(monkeypatch):
    """What docker lists: containers (all), volumes, running containers."""
    listed = {"all": [], "volumes": [], "running": []}

    monkeypatch.setattr(rm, "STRAY_S", 0)

    def ask(site, *args):
        kind = "volumes" if args[0] == "volume" else "all" if "--all" in args else "running"
        return listed[kind]

    monkeypatch.setattr(rm, "docker_list", ask)
    return listed


@pytest.fixture
def requeued(site, database, docker):
    """A database and its snapshot after a good requeue of job `a`."""
    add(database, "a", "pending", rm.WAITING_ON_REBOOT)
    add(database, "b", "failed", "internal_error")
    kept = rm.snapshot(site, "20260101T000000-aaaaaa")
    docker["all"] = ["os-job-b", "os-volume-b-manager"]
    docker["volumes"] = ["os-volume-b"]
    return kept


def test_a_good_requeue_passes_and_what_waits_for_a_retry_may_stay(site, requeued):
    rm.verify(site, ["a"], requeued)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DELETE FROM job WHERE id = 'b'", "set of jobs changed: b"),
        ("INSERT INTO job VALUES ('c', '', '', 'pending', 'created', 1)", "set of jobs changed: c"),
        ("UPDATE job SET state = 'running' WHERE id = 'b'", "still running: b"),
        ("UPDATE job SET status_code = 'created' WHERE id = 'a'", "not requeued: a"),
    ],
)
def test_a_requeue_that_lost_or_left_a_job_does_not_pass(site, database, requeued, change, reason):
    with database:
        database.execute(change)
    with pytest.raises(rm.StepError, match=reason):
        rm.verify(site, ["a"], requeued)


@pytest.mark.parametrize("kind", ["all", "volumes"])
def test_what_a_requeued_job_left_in_docker_does_not_pass(site, requeued, docker, kind):
    docker[kind] = [*docker[kind], "os-volume-a"]
    with pytest.raises(rm.StepError, match="left in docker: os-volume-a"):
        rm.verify(site, ["a"], requeued)


def test_a_running_container_of_no_job_does_not_pass(site, requeued, docker):
    docker["running"] = ["os-job-z"]
    with pytest.raises(rm.StepError, match="os-job-z"):
        rm.verify(site, ["a"], requeued)


def test_a_container_of_no_running_job_is_named_with_its_cure_before_anything_is_touched(
    site, database, docker, monkeypatch
):
    monkeypatch.setattr(rm, "must", lambda *a, **k: "")
    add(database, "a", "running", "executing")
    add(database, "b", "failed", "internal_error")
    add(database, "c", "pending", "waiting_on_reboot")
    docker["running"] = ["os-job-a"]
    assert rm.docker_problem(site) == ""
    docker["running"] = ["os-job-a", "os-job-b", "os-job-c", "os-job-z"]
    text = rm.docker_problem(site)
    assert "os-job-b, os-job-c, os-job-z" in text
    assert "os-job-a" not in text
    assert "`jobs.kill --no-cleanup b`" in text, "its volume is needed for a retry"
    assert "`run -- docker rm --force os-job-c`" in text, "its job is to live on"
    assert "`run -- docker rm --force os-job-z`" in text


def test_a_container_that_is_about_to_go_is_waited_for(site, database, docker, monkeypatch):
    """A kill marks the job first; a job that begins has its container before we see it run."""
    monkeypatch.setattr(rm, "STRAY_S", 60)
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 2:
            docker["running"] = ["os-job-new"]

    monkeypatch.setattr(rm.time, "sleep", sleep)
    docker["running"] = ["os-job-killed"]
    assert rm.lasting_strays(site) == []
    assert slept == [rm.LOOK_AGAIN_S] * 2


def test_a_container_left_over_while_others_were_waited_for_stops_nothing(
    site, database, docker, monkeypatch
):
    monkeypatch.setattr(rm, "stop_unit", lambda unit: pytest.fail("stopped"))
    docker["running"] = ["os-job-z"]
    with pytest.raises(rm.StepError, match="os-job-z"):
        rm.requeue(site, record(site, step="draining"))


def release(site, id, **words):
    folder = Path(site["state_dir"], "releases")
    folder.mkdir(exist_ok=True)
    rm.write_json(folder / f"{id}.json", {"id": id, **words}, 0o640)


def test_an_unfinished_release_counts_whatever_the_clock_of_its_operator(site):
    release(site, "20260101T000000-aaaaaa", outcome="done")
    release(site, "20260109T000000-cccccc", outcome="done")
    assert rm.release_problem(site) == ""
    release(site, "20260105T000000-bbbbbb")
    assert "20260105T000000-bbbbbb is unfinished" in rm.release_problem(site)


def test_snapshots_are_private_and_few(site, database):
    add(database, "a", "running", "executing")
    for number in range(7):
        kept = rm.snapshot(site, f"2026010{number}T000000-aaaaaa")
    folder = rm.Path(kept).parent
    assert [p.name[:8] for p in sorted(folder.iterdir())] == [f"2026010{n}" for n in range(2, 7)]
    assert os.stat(kept).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("late", [rm.LATE_S + 60, 30 * 86400])
def test_a_host_that_slept_through_its_time_does_not_go_down_later(site, late, monkeypatch):
    monkeypatch.setattr(rm, "problems", lambda site: [])
    item = record(site, due=time.time() - late, steps=[])
    with pytest.raises(rm.StepError, match="late") as caught:
        rm.prepare(site, item, "")
    assert caught.value.refused


def full(*_, **__):
    raise OSError(28, "No space left on device")


def test_a_pause_that_cannot_be_noted_is_none(site, flags_command, monkeypatch):
    monkeypatch.setattr(rm, "write_json", full)
    with pytest.raises((rm.StepError, OSError), match="No space left"):
        rm.set_pause(site, who="x")
    assert not rm.flag(site)


def test_a_pause_that_was_there_outlives_a_note_that_cannot_be_written(
    site, flags_command, monkeypatch
):
    rm.set_pause(site, who="x")
    monkeypatch.setattr(rm, "write_json", full)
    with pytest.raises((rm.StepError, OSError), match="No space left"):
        rm.set_pause(site, who="y")
    assert rm.flag(site)


def test_a_disk_that_fills_up_half_way_leaves_the_service_running_and_unpaused(
    site, flags_command, monkeypatch
):
    """Not even the record can be written any more: the service counts."""
    units = {"jobrunner": True}
    monkeypatch.setattr(rm, "problems", lambda site: [])
    monkeypatch.setattr(rm, "is_down", lambda unit: not units[unit])
    monkeypatch.setattr(rm, "is_up", lambda unit: units[unit])
    monkeypatch.setattr(rm, "SETTLE_S", 0)
    monkeypatch.setattr(rm, "systemctl", lambda verb, unit: units.update({unit: verb == "start"}))
    monkeypatch.setattr(rm, "arm_boot", lambda *a: None)
    monkeypatch.setattr(rm.signal, "signal", lambda *a: None)
    monkeypatch.setattr(rm, "stray_problem", lambda site: "")
    item = record(site, due=time.time(), steps=[], drain_s=0, keep_paused=False)

    def fills_up(site, id):
        assert rm.flag(site)
        assert not units["jobrunner"]
        monkeypatch.setattr(rm, "write_record", full)
        full()

    monkeypatch.setattr(rm, "snapshot", fills_up)
    with pytest.raises(OSError, match="No space left"):
        rm.prepare(site, item, "")
    assert units["jobrunner"]
    assert not rm.flag(site)


def test_a_full_disk_is_no_place_to_arm_anything(site, monkeypatch):
    usage = rm.shutil.disk_usage("/")
    monkeypatch.setattr(rm.shutil, "disk_usage", lambda _: usage._replace(free=4096))
    assert "no room under" in rm.room_problem(site)


def test_a_file_that_cannot_be_written_leaves_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    rm.write_json(path, {"old": 1}, 0o600)
    monkeypatch.setattr(rm.json, "dump", full)
    with pytest.raises(OSError, match="No space left"):
        rm.write_json(path, {"new": 1}, 0o600)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert rm.read_json(path) == {"old": 1}


def test_what_could_not_be_put_back_is_told(site, flags_command, monkeypatch):
    """A service that falls over at once, and a flag that does not go away."""
    monkeypatch.setattr(rm, "is_down", lambda unit: True)
    monkeypatch.setattr(rm, "is_up", lambda unit: False)
    monkeypatch.setattr(rm, "SETTLE_S", 0)
    monkeypatch.setattr(rm, "systemctl", lambda verb, unit: None)
    item = record(site, was_active=True, paused_by_us=True, steps=[])
    rm.set_pause(site, id=item["id"])

    def stuck(site):
        raise rm.StepError("job-runner's flag does not go away")

    monkeypatch.setattr(rm, "clear_pause", stuck)
    left = rm.undo(site, item["id"], OSError("broken"))
    assert left == ["jobrunner does not stay up", "it is still paused"]


def test_a_full_disk_takes_the_words_of_the_lock_and_not_the_lock(site, monkeypatch):
    monkeypatch.setattr(rm.os, "pwrite", full)
    with (
        rm.lock(site, record(site), 0),
        Path(site["lock_file"]).open() as other,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with rm.lock(site, record(site), 0):
        pass


def test_whatever_breaks_the_host_goes_back_to_where_it_was(site, monkeypatch):
    undone = []
    monkeypatch.setattr(rm, "problems", lambda site: [])
    monkeypatch.setattr(rm, "was_active", lambda site: True)
    monkeypatch.setattr(rm, "drain", lambda *a: None)
    monkeypatch.setattr(rm, "undo", lambda site, id, error: undone.append(error) or [])
    monkeypatch.setattr(rm.signal, "signal", lambda *a: None)
    item = record(site, due=time.time())
    for stage in ("hold_new_work", "requeue"):
        monkeypatch.setattr(rm, "hold_new_work", lambda *a: None)

        for kind in (rm.StepError, OSError):

            def broken(*args, kind=kind):
                raise kind("broken")

            monkeypatch.setattr(rm, stage, broken)
            with pytest.raises(kind, match="broken"):
                rm.prepare(site, item, "")
    assert len(undone) == 4


def test_work_that_is_over_or_cancelled_never_fires(site):
    for words in ({"outcome": "cancelled"}, {"step": "waiting"}, {"outcome": "ready"}):
        item = record(site, **words)
        answer = rm.op_fire({"site": site, "id": item["id"]}, "")
        assert answer == {"outcome": "not wanted any more"}
    assert rm.op_fire({"site": site, "id": "absent"}, "") == {"outcome": "not wanted any more"}


@pytest.mark.parametrize(
    ("state", "outcome", "reason"),
    [("running", "cancelled", "unit was stopped"), ("stopping", "failed", "host went down")],
)
def test_a_host_that_goes_down_while_it_waits_is_nobodys_cancelling(
    site, monkeypatch, state, outcome, reason
):
    def stop(*args):
        raise rm.CancelledError

    monkeypatch.setattr(rm, "prepare", stop)
    monkeypatch.setattr(rm, "journal", lambda *a: None)
    monkeypatch.setattr(rm.signal, "signal", lambda *a: None)
    monkeypatch.setattr(rm, "call", lambda *a, **k: types.SimpleNamespace(stdout=state + "\n"))
    item = record(site, lock_wait_s=0, reboot=True)
    assert rm.op_fire({"site": site, "id": item["id"]}, "")["outcome"] == outcome
    found = rm.read_record(site, item["id"])
    assert found["outcome"] == outcome
    assert reason in found["reason"]


# -- cancelling ------------------------------------------------------------------------------


@pytest.fixture
def quiet(monkeypatch):
    """No systemd and no journal."""
    monkeypatch.setattr(rm, "call", lambda *a, **k: None)
    monkeypatch.setattr(rm, "journal", lambda *a: None)


def cancel(site, id=""):
    return rm.op_cancel({"site": site, "id": id, "audit": {"id": "x", "who": "c@d", "why": ""}})


def test_the_only_one_is_cancelled_without_its_name_and_only_once(site, quiet):
    item = record(site)
    assert cancel(site)["changed"]
    assert rm.read_record(site, item["id"])["outcome"] == "cancelled"
    assert not cancel(site)["changed"]
    assert not cancel(site, item["id"])["changed"]


def test_of_several_the_name_must_be_said(site, quiet):
    record(site, "20260101T000000-aaaaaa")
    record(site, "20260102T000000-bbbbbb", kind=rm.UNPAUSE)
    with pytest.raises(rm.StepError, match="which one") as caught:
        cancel(site)
    assert caught.value.refused
    assert cancel(site, "20260102")["record"]["id"] == "20260102T000000-bbbbbb"
    with pytest.raises(rm.StepError, match="nothing is called"):
        cancel(site, "2027")


@pytest.mark.parametrize("step", ["stopping", "snapshot", "requeueing", "verifying"])
def test_past_the_point_of_return_nothing_is_cancelled(site, quiet, step, monkeypatch):
    monkeypatch.setattr(rm, "is_down", lambda unit: False)
    item = record(site, step=step)
    with pytest.raises(rm.StepError, match="too late") as caught:
        cancel(site)
    assert caught.value.refused
    assert rm.read_record(site, item["id"])["outcome"] == ""


def test_a_pause_whose_end_is_cancelled_goes_on_and_says_so(site, quiet, flags_command):
    item = record(site, kind=rm.UNPAUSE)
    note = rm.set_pause(site, who="x", why="night", id=item["id"], until=9e9)
    assert "until `unpause`" in cancel(site)["record"]["reason"]
    after = rm.pause_note(site, rm.flag(site))
    assert after == {**note, "until": 0, "id": ""}
    # The end of a pause that is over by now is nobody's business.
    other = record(site, "20260102T000000-bbbbbb", kind=rm.UNPAUSE)
    assert "until" not in cancel(site, other["id"])["record"]["reason"]
    assert rm.pause_note(site, rm.flag(site)) == after


def test_what_broke_off_without_a_word_is_dismissed(site, quiet, monkeypatch):
    monkeypatch.setattr(rm, "is_down", lambda unit: unit.startswith("opstasks-2026"))
    item = record(site, step="requeueing")
    assert cancel(site)["record"]["outcome"] == "cut off"
    assert "requeueing" in rm.read_record(site, item["id"])["reason"]


def test_what_a_reboot_dropped_is_dismissed(site, quiet):
    record(site, boot_id="an earlier one")
    assert cancel(site)["record"]["outcome"] == "dropped"
    record(site, "20260102T000000-bbbbbb", boot_id="an earlier one", step="draining")
    assert cancel(site)["record"]["outcome"] == "cut off", "it had begun"


def arm(site, id, replace=False, **words):
    base = {"id": id, "host": "h", "kind": rm.PREPARE, "who": "a@b", "why": "", "timed": True}
    base |= {"due": 0, "delay_s": 0, **words}
    return rm.op_arm({"site": site, "record": base, "replace": replace}, "the script")["record"]


def test_what_is_armed_is_on_record_before_it_can_fire(site, quiet, monkeypatch):
    seen = []
    monkeypatch.setattr(rm, "problems", lambda site: [])
    monkeypatch.setattr(rm, "start_unit", lambda site, r, text: seen.append((r["id"], text)))
    item = arm(site, "20260101T000000-aaaaaa", delay_s=60)
    assert seen == [(item["id"], "the script")]
    assert 59 < item["due"] - time.time() <= 61
    assert (item["step"], item["outcome"], item["boot_id"]) == ("armed", "", rm.boot_id())
    mode = rm.record_path(site, item["id"]).stat().st_mode
    assert mode & 0o007 == 0, "not for everybody"
    with pytest.raises(rm.StepError, match="armed already"):
        arm(site, "20260101T000000-bbbbbb", delay_s=60)
    assert len(seen) == 1


def test_a_time_that_has_passed_or_a_broken_host_is_never_armed(site, quiet, monkeypatch):
    monkeypatch.setattr(rm, "start_unit", lambda *a: pytest.fail("armed"))
    monkeypatch.setattr(rm, "problems", lambda site: [])
    with pytest.raises(rm.StepError, match="has passed"):
        arm(site, "20260101T000000-aaaaaa", due=time.time() - 5)
    monkeypatch.setattr(rm, "problems", lambda site: ["no docker"])
    with pytest.raises(rm.StepError, match="no docker"):
        arm(site, "20260101T000000-aaaaaa", delay_s=60)
    assert rm.records(site) == []


OLD, NEW = "20260101T000000-aaaaaa", "20260102T000000-bbbbbb"


@pytest.fixture
def arming(site, quiet, monkeypatch):
    """What is begun, with what was then still armed, in order."""
    seen = []

    def start(site, item, text):
        left = [r["id"] for r in rm.records(site) if not r["outcome"]]
        seen.append((item["id"], sorted(left)))

    monkeypatch.setattr(rm, "problems", lambda site: [])
    monkeypatch.setattr(rm, "start_unit", start)
    return seen


def outcomes(site):
    return {r["id"]: r["outcome"] for r in rm.records(site)}


def test_there_is_room_for_one_preparation_only(site, arming):
    record(site, OLD)
    with pytest.raises(rm.StepError, match="armed already") as caught:
        arm(site, NEW, delay_s=60)
    assert caught.value.refused
    assert outcomes(site) == {OLD: ""}


def test_what_is_replaced_is_taken_away_once_the_new_one_is_armed(site, arming):
    record(site, OLD)
    arm(site, NEW, replace=True, delay_s=60)
    assert arming == [(NEW, [OLD, NEW])]
    assert outcomes(site) == {OLD: "cancelled", NEW: ""}


def test_what_begins_at_once_begins_alone(site, arming):
    record(site, OLD)
    arm(site, NEW, replace=True, timed=False)
    assert arming == [(NEW, [NEW])]


def test_a_new_one_that_comes_to_nothing_leaves_the_old_one_armed(site, arming, monkeypatch):
    record(site, OLD)
    with pytest.raises(rm.StepError, match="has passed") as caught:
        arm(site, NEW, replace=True, due=time.time() - 5)
    assert caught.value.refused
    assert outcomes(site) == {OLD: ""}

    def broken(*args):
        raise rm.StepError("systemd does not take it")

    monkeypatch.setattr(rm, "start_unit", broken)
    with pytest.raises(rm.StepError, match="systemd does not take it"):
        arm(site, NEW, replace=True, delay_s=60)
    assert outcomes(site) == {OLD: "", NEW: "failed"}
    with pytest.raises(rm.StepError, match=f"{OLD} was taken away before that: nothing is armed"):
        arm(site, NEW, replace=True, timed=False)
    assert outcomes(site) == {OLD: "cancelled", NEW: "failed"}


def test_one_that_is_past_the_point_of_return_is_not_replaced(site, arming, monkeypatch):
    monkeypatch.setattr(rm, "is_down", lambda unit: False)
    record(site, OLD, step="requeueing")
    for timed in (True, False):
        with pytest.raises(rm.StepError, match="too late") as caught:
            arm(site, NEW, replace=True, delay_s=60, timed=timed)
        assert caught.value.refused
        assert outcomes(site) == {OLD: "", NEW: "cancelled"}


# -- after the boot --------------------------------------------------------------------------


def test_mounts_that_the_boot_makes_are_read_from_fstab():
    text = """# a comment
/dev/vda1 / ext4 defaults 0 1
//srv/share /e cifs rw,vers=3.0 0 0
/dev/vdb /mnt/x ext4 rw,noauto 0 0
/dev/vdc none swap sw 0 0

broken line
"""
    assert ra.wanted_mounts(text) == ["/", "/e"]


def test_mounts_that_come_and_go_are_not_asked_for_after_the_boot(tmp_path, monkeypatch):
    rows = ["/dev/vda1 / ext4 rw 0 0", "/dev/loop3 /snap/core20/1974 squashfs ro 0 0"]
    rows += ["nas:/e /e nfs rw 0 0", "/dev/loop4 /run/x squashfs ro 0 0", "proc /proc proc rw 0 0"]
    (tmp_path / "mounts").write_text("\n".join(rows))
    monkeypatch.setattr(remote_prepare, "Path", lambda _: tmp_path / "mounts")
    assert remote_prepare.mounts() == ["/", "/e"]


def test_a_mount_with_a_blank_in_its_name_is_the_same_in_every_table(tmp_path, monkeypatch):
    fstab = "//srv/x /mnt/with\\040blank cifs rw 0 0\n"
    (tmp_path / "mounts").write_text(fstab)
    monkeypatch.setattr(remote_prepare, "Path", lambda _: tmp_path / "mounts")
    after = remote_mounts.mount_points("1 0 0:50 / /mnt/with\\040blank rw - cifs //srv/x rw\n")
    assert ra.wanted_mounts(fstab) == remote_prepare.mounts() == after == ["/mnt/with blank"]


@pytest.fixture
def boot(site, database, monkeypatch):
    """The boot's own look at the host, `paused` or not."""
    monkeypatch.setattr(rm, "forget_boot", lambda site: None)

    def run(paused):
        set_flag(database, "true" if paused else None, 100.0)
        return rm.op_boot({"site": site}, "")

    return run


def next_boot(site, id):
    return rm.read_record(site, id).get("next_boot")


@pytest.mark.parametrize(
    ("ours", "paused", "noted"), [(True, True, True), (True, False, False), (False, False, True)]
)
def test_a_boot_notes_the_preparation_that_was_its_own(site, boot, ours, paused, noted):
    """The pause of one that was given up had been ended before."""
    record(site, NEW, outcome="ready", boot_id="before", paused_by_us=ours, armed_at=1)
    record(site, OLD, outcome="ready", boot_id="before", paused_by_us=ours, armed_at=2)
    boot(paused)
    assert next_boot(site, OLD) == (rm.boot_id() if noted else "none"), "the newest by its clock"
    assert next_boot(site, NEW) is None


def test_a_boot_notes_nothing_twice_nor_while_the_reboot_has_not_come(site, boot):
    record(site, OLD, outcome="ready", boot_id="before", next_boot="another one")
    boot(True)
    assert next_boot(site, OLD) == "another one"
    record(site, NEW, outcome="ready")
    boot(True)
    assert next_boot(site, NEW) is None


# -- reading ---------------------------------------------------------------------------------


def test_what_ends_while_it_is_read_is_not_cut_off(site, monkeypatch, capsys):
    """Its unit is gone when that is asked for: the record is read after that."""
    item = record(site, step="verifying")

    def ask(names):
        rm.write_record(site, item["id"], outcome="ready")
        return {name: "inactive" for name in names}

    monkeypatch.setattr(rr, "states", ask)
    rr.main(json.dumps({"lock_dir": site["lock_dir"], "state_dir": site["state_dir"]}))
    found = records.parse(capsys.readouterr().out)
    assert found.state(found.items[0]) == "ready"


def test_the_newest_record_is_the_newest_by_the_hosts_clock(site, monkeypatch, capsys):
    record(site, NEW, armed_at=1, outcome="ready")
    record(site, OLD, armed_at=2, outcome="refused")
    assert [r["id"] for r in rm.records(site)] == [OLD, NEW]
    rr.main(json.dumps({"lock_dir": site["lock_dir"], "state_dir": site["state_dir"]}))
    assert [i.id for i in records.parse(capsys.readouterr().out).items] == [OLD, NEW]


def test_the_boot_was_before_now_and_not_long_ago_in_years():
    assert 0 < time.time() - ra.booted() < 10 * 365 * 86400
