"""Scheduling work on a host, and the programs that are installed there for it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from opstasks.fleet.program import PYTHON, packed, sources
from opstasks.maintenance.onhost import (
    boot_unit,
    closing,
    end_pause,
    inspect,
    pause,
    prepare,
    schedule,
    store,
    timers,
)
from opstasks.maintenance.onhost.records import (
    PREPARE,
    UNPAUSE,
    ItemStep,
    ScheduledItem,
    script_dir,
)
from opstasks.maintenance.onhost.units import HostUnit
from opstasks.onhost import loader
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.maintenance.onhost_help import (
    NEW,
    OLD,
    add_job,
    make_record,
    never,
    outcomes,
    read_record,
    request_of,
    set_flag,
)


@pytest.fixture
def started(site, monkeypatch):
    """The started work in order, each with the work then scheduled; no systemd."""
    seen = []

    def start(site, item, module):
        left = [i.id for i in store.read_items(site.lock_dir) if not i.outcome]
        seen.append((item.id, module.rpartition(".")[2], sorted(left)))

    monkeypatch.setattr(schedule, "problems", lambda site: [])
    monkeypatch.setattr(timers, "start_unit", start)
    return seen


def scheduled(site, id, replace=False, **words):
    item = ScheduledItem(**{"id": id, "host": "h", "who": "a@b", "timed": True, **words})
    answer = schedule.main(request_of(site, item=asdict(item), replace=replace))
    return answer["item"]


def test_work_is_on_record_before_it_can_begin(site, started):
    item = scheduled(site, OLD, delay_s=60.0)
    assert started == [(OLD, "prepare", [OLD])]
    assert 59 < item["due_at"] - time.time() <= 61
    assert (item["step"], item["outcome"], item["boot_id"]) == ("scheduled", "", store.boot_id())
    mode = store.item_path(site.lock_dir, OLD).stat().st_mode
    assert mode & 0o007 == 0, "not for everybody"


def test_a_time_that_has_passed_or_a_broken_host_is_refused(site, started, monkeypatch):
    with pytest.raises(HostRefusal, match="has passed"):
        scheduled(site, OLD, due_at=time.time() - 5)
    monkeypatch.setattr(schedule, "problems", lambda site: ["no docker"])
    with pytest.raises(HostRefusal, match="no docker"):
        scheduled(site, OLD, delay_s=60.0)
    assert (started, outcomes(site)) == ([], {})


def test_a_second_preparation_is_refused(site, started):
    make_record(site, OLD)
    with pytest.raises(HostRefusal, match="scheduled already"):
        scheduled(site, NEW, delay_s=60.0)
    assert outcomes(site) == {OLD: ""}
    assert started == []


def test_the_old_one_is_cancelled_once_the_new_one_is_scheduled(site, started):
    make_record(site, OLD)
    scheduled(site, NEW, replace=True, delay_s=60.0)
    assert started == [(NEW, "prepare", [OLD, NEW])]
    assert outcomes(site) == {OLD: "cancelled", NEW: ""}


@pytest.mark.parametrize("step", ["scheduled", "waiting"])
def test_work_that_starts_at_once_leaves_the_other_until_it_has_the_lock(
    site, started, systemd, step
):
    systemd.states[f"opstasks-{OLD}.service"] = "active" if step == "waiting" else "inactive"
    make_record(site, OLD, step=step)
    scheduled(site, NEW, replace=True, timed=False)
    assert started == [(NEW, "prepare", [OLD, NEW])]
    assert outcomes(site) == {OLD: "", NEW: ""}
    assert (read_record(site, NEW).replaces, read_record(site, NEW).replaced) == ((OLD,), ())


@pytest.mark.parametrize(
    "under_way",
    [
        {"step": "draining"},
        {"step": "waiting", "steps": (ItemStep(1, "wait"), ItemStep(2, "look"))},
    ],
)
def test_work_that_starts_at_once_first_cancels_one_that_holds_the_lock(
    site, started, systemd, under_way
):
    systemd.states[f"opstasks-{OLD}.service"] = "active"
    make_record(site, OLD, **under_way)
    scheduled(site, NEW, replace=True, timed=False)
    assert started == [(NEW, "prepare", [NEW])]
    assert read_record(site, NEW).replaced == (f"{OLD} by a@b for then",)


def test_a_new_one_that_fails_leaves_the_old_one_scheduled(site, started, systemd, monkeypatch):
    make_record(site, OLD)
    with pytest.raises(HostRefusal, match="has passed"):
        scheduled(site, NEW, replace=True, due_at=time.time() - 5)
    assert outcomes(site) == {OLD: ""}

    def broken(*args):
        raise HostFailure("systemd does not accept the work")

    monkeypatch.setattr(timers, "start_unit", broken)
    with pytest.raises(HostFailure, match="systemd does not accept the work"):
        scheduled(site, NEW, replace=True, delay_s=60.0)
    assert outcomes(site) == {OLD: "", NEW: "failed"}
    with pytest.raises(HostFailure, match=r"systemd does not accept the work$"):
        scheduled(site, NEW, replace=True, timed=False)
    assert outcomes(site) == {OLD: "", NEW: "failed"}
    systemd.states[f"opstasks-{OLD}.service"] = "active"
    make_record(site, OLD, step="draining")
    with pytest.raises(HostFailure, match=f"{OLD} by a@b for then was cancelled before that"):
        scheduled(site, NEW, replace=True, timed=False)
    assert outcomes(site) == {OLD: "cancelled", NEW: "failed"}


@pytest.mark.parametrize("timed", [True, False])
def test_one_past_the_point_of_no_return_is_not_replaced(site, started, systemd, timed):
    systemd.states[f"opstasks-{OLD}.service"] = "active"
    make_record(site, OLD, step="requeueing")
    with pytest.raises(HostRefusal, match="too late"):
        scheduled(site, NEW, replace=True, delay_s=60.0, timed=timed)
    assert outcomes(site) == ({OLD: "", NEW: "cancelled"} if timed else {OLD: ""})


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ({"step": "waiting"}, "interrupted"),
        ({"step": "requeueing"}, "interrupted"),
        ({"scheduled_at": 5.0}, "dropped"),
        ({"boot_id": "before"}, "dropped"),
        ({"boot_id": "before", "step": "draining"}, "interrupted"),
    ],
)
@pytest.mark.parametrize("timed", [True, False])
def test_a_preparation_that_was_killed_or_dropped_blocks_no_new_one(
    site, started, systemd, words, outcome, timed
):
    make_record(site, OLD, **words)
    script_dir(site, OLD).mkdir(parents=True)
    systemd.kill(OLD)
    scheduled(site, NEW, delay_s=60.0, timed=timed)
    # As long as the new one can be refused, `scheduled.cancel` can undo one that was killed.
    is_closed = timed and outcome == "dropped"
    assert outcomes(site) == {OLD: outcome if is_closed else "", NEW: ""}
    prepare.take_over(site, read_record(site, NEW))
    assert outcomes(site) == {OLD: outcome, NEW: ""}
    assert f"{NEW} took its place" in read_record(site, OLD).reason
    assert not script_dir(site, OLD).exists()


def test_work_whose_timer_is_about_to_start_is_not_dead(site, started, systemd):
    make_record(site, OLD, scheduled_at=time.time())
    systemd.kill(OLD)
    with pytest.raises(HostRefusal, match="scheduled already"):
        scheduled(site, NEW, delay_s=60.0)


def test_new_work_is_the_newest_after_the_clock_was_set_back(site, started, monkeypatch):
    monkeypatch.setattr(closing, "KEEP_RECORDS", 1)
    make_record(site, OLD, outcome="ready", scheduled_at=time.time() + 9999)
    scheduled(site, NEW, delay_s=60.0)
    closing.close(site, read_record(site, NEW), "done", "")
    assert list(outcomes(site)) == [NEW, OLD]
    closing.prune(site)
    assert list(outcomes(site)) == [NEW]


def test_a_systemd_that_does_not_answer_declares_nothing_dead(site, started, monkeypatch):
    def silent(names):
        raise HostFailure("cannot read the units of scheduled work")

    monkeypatch.setattr(store, "unit_states", silent)
    make_record(site, OLD)
    with pytest.raises(HostFailure, match="cannot read the units"):
        scheduled(site, NEW, delay_s=60.0)
    assert outcomes(site) == {OLD: ""}


# -- what is installed -----------------------------------------------------------------------


PROGRAMS = {PREPARE: prepare.__name__, UNPAUSE: end_pause.__name__}


@pytest.fixture
def systemd_run(commands, tmp_path, monkeypatch):
    """systemd commands that record their arguments; every unit is active."""
    told = tmp_path / "told"
    commands("systemd-run", f'for word; do echo "$word"; done >{told}')
    commands("systemctl", "echo ActiveState=active")
    monkeypatch.setattr(loader, "SOURCES", sources(schedule.__name__, pause.__name__))
    monkeypatch.setattr(boot_unit, "UNIT_DIR", str(tmp_path))
    monkeypatch.setattr(boot_unit, "SYSTEMCTL", "true")
    return lambda: told.read_text().splitlines()


@pytest.mark.parametrize("kind", list(PROGRAMS))
def test_a_unit_runs_one_readable_file_that_only_root_reads(site, systemd_run, kind):
    item = make_record(site, kind=kind, due_at=1_800_000_000.0, outcome="cancelled")
    timers.start_unit(site, item, PROGRAMS[kind])
    words = systemd_run()
    script = Path(site.lock_dir, "scripts", OLD, "run.py")
    assert words[words.index("--") + 1 :] == ["/usr/bin/python3", "-I", str(script)]
    assert "--on-calendar=2027-01-15 08:00:00 UTC" in words
    assert f"--unit=opstasks-{OLD}" in words
    for folder in (script.parent, script.parent.parent, script):
        assert folder.stat().st_mode & 0o077 == 0
    text = script.read_text()
    assert f"# opstasks: {kind} by a@b, due then" in text
    assert "'LATE_S = 1800\\n'" in text
    # It runs without other files; here it finds that it is not scheduled any more.
    done = subprocess.run(
        [sys.executable, "-I", script], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["ok"]["reason"] == "it is not scheduled any more"


def test_a_timer_that_does_not_run_is_a_failure(site, systemd_run, commands):
    commands("systemctl", "echo ActiveState=inactive")
    with pytest.raises(HostFailure, match="does not run"):
        timers.start_unit(site, make_record(site, due_at=1_800_000_000.0), "opstasks.x")


def test_an_installed_program_can_install_the_boots_program(site, systemd_run, tmp_path):
    """A preparation started by a timer writes the next program from its own sources."""
    script = (
        "n['install'](s); from opstasks.maintenance.onhost import boot, boot_unit, site;"
        f" boot_unit.UNIT_DIR, boot_unit.SYSTEMCTL = {str(tmp_path)!r}, 'true';"
        f" boot.add_boot(site.Site(**{asdict(site)!r}))"
    )
    text = packed(PROGRAMS["prepare-reboot"], {}).replace("n['start'](s, m, r)", script)
    subprocess.run([sys.executable, *PYTHON[1:]], input=text, text=True, check=True)
    text = Path(site.lock_dir, "scripts", "boot", "run.py").read_text()
    assert "start(MODULES, 'opstasks.maintenance.onhost.boot'" in text
    assert "'opstasks/maintenance/onhost/end_pause.py'" in text, "what the boot may install"
    unit = (tmp_path / boot_unit.BOOT_UNIT).read_text()
    assert f"ExecStart=/usr/bin/python3 -I {site.lock_dir}/scripts/boot/run.py" in unit
    compile(text, "run.py", "exec")


def test_what_is_installed_is_the_same_every_time(site, systemd_run):
    texts = []
    for _ in range(2):
        timers.start_unit(site, make_record(site), PROGRAMS[UNPAUSE])
        texts.append(Path(site.lock_dir, "scripts", OLD, "run.py").read_text())
    assert texts[0] == texts[1]


# -- before the question ---------------------------------------------------------------------


@pytest.fixture
def inspected(site, database, monkeypatch):
    """The answer of the inspection: `inspected(at="22:00")`."""
    monkeypatch.setattr(inspect, "problems", lambda site: [])
    monkeypatch.setattr(inspect, "is_down", lambda unit: False)
    unit = HostUnit(enabled="enabled")
    monkeypatch.setattr(inspect, "read_unit", lambda name: unit)
    return lambda **words: inspect.main(request_of(site, **{"at": "", "delay_s": 0, **words}))


def test_an_inspection_shows_what_a_preparation_would_find(site, database, inspected):
    add_job(database, "a", "running", "executing")
    make_record(site, OLD)
    make_record(site, NEW, kind=UNPAUSE)
    found = inspected(delay_s=60)
    assert found["due_at"] - found["now_at"] == pytest.approx(60, abs=1)
    assert found["jobs"] == [{"id": "a", "workspace": "w", "action": "a", "started_at": 5.0}]
    assert [item["id"] for item in found["scheduled"]] == [OLD]
    flags = {name: found[f"is_{name}"] for name in ("serving", "enabled", "paused", "ready")}
    assert flags == {"serving": True, "enabled": True, "paused": False, "ready": False}


def test_an_inspection_with_problems_shows_only_them(inspected, monkeypatch):
    monkeypatch.setattr(inspect, "problems", lambda site: ["no docker"])
    monkeypatch.setattr(inspect, "running_jobs", never("read"))
    assert inspected()["problems"] == ["no docker"]


def test_a_date_that_has_passed_is_refused(inspected):
    with pytest.raises(HostRefusal, match="2020-01-01 10:00 has passed"):
        inspected(at="2020-01-01 10:00")


def test_a_prepared_host_is_ready_until_something_changes(site, database, inspected, systemd):
    make_record(site, outcome="ready")
    set_flag(database, "true", 100.0)
    systemd.states["jobrunner"] = "active"
    assert not inspected()["is_ready"], "it serves"
    systemd.states["jobrunner"] = "inactive"
    assert inspected()["is_ready"]
    make_record(site, boot_id="before", outcome="ready")
    assert not inspected()["is_ready"], "it was rebooted"
    make_record(site, outcome="ready")
    add_job(database, "a", "running", "executing")
    assert not inspected()["is_ready"], "a job runs"


def test_a_script_stays_private_whatever_the_umask(site, systemd_run):
    old = os.umask(0)
    try:
        timers.start_unit(site, make_record(site), PROGRAMS[UNPAUSE])
    finally:
        os.umask(old)
    assert Path(site.lock_dir, "scripts", OLD, "run.py").stat().st_mode & 0o777 == 0o700
    assert read_record(site).outcome == ""
