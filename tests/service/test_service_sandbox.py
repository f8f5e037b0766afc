"""service on real hosts: its reports agree with systemd."""

import json

import pytest

pytestmark = pytest.mark.sandbox
DATABASE = "/home/opensafely/jobrunner/workdir/db.sqlite"


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_stop_and_start_report_a_change_only_once(inv, jobrunner_unit):
    first = json.loads(good(inv("-H", "sandbox-1", "--json", "service.stop", "--yes")).stdout)
    assert first["hosts"]["sandbox-1"]["outcome"] == "changed"
    assert jobrunner_unit("ActiveState") == "inactive"
    again = json.loads(good(inv("-H", "sandbox-1", "--json", "service.stop", "--yes")).stdout)
    assert again["hosts"]["sandbox-1"]["outcome"] == "ok"
    good(inv("-H", "sandbox-1", "service.start", "--watch", "2"))
    assert jobrunner_unit("SubState") == "running"
    pid = jobrunner_unit("MainPID")
    done = good(inv("-H", "sandbox-1", "--json", "service.start"))
    assert json.loads(done.stdout)["hosts"]["sandbox-1"]["outcome"] == "ok"
    assert jobrunner_unit("MainPID") == pid


def test_restart_starts_a_new_process(inv, jobrunner_unit):
    pid = jobrunner_unit("MainPID")
    good(inv("-H", "sandbox-1", "service.restart", "--watch", "2", "--yes"))
    assert jobrunner_unit("MainPID") not in (pid, "0")


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_nothing_is_stopped_without_a_yes(inv, jobrunner_unit, verb):
    pid = jobrunner_unit("MainPID")
    done = inv("-H", "sandbox-1", f"service.{verb}")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    dry = good(inv("-H", "sandbox-1", "--json", "--dry", f"service.{verb}"))
    assert json.loads(dry.stdout)["hosts"]["sandbox-1"]["outcome"] == "ok"
    assert jobrunner_unit("MainPID") == pid


def test_start_fails_with_the_last_log_lines_if_the_service_dies(inv, jobrunner_unit, managed):
    run = "/home/opensafely/jobrunner/code/jobrunner/run.py"
    managed.must("sandbox-1", ["sed", "-i.away", "1i raise RuntimeError('fell over')", run])
    try:
        done = inv("-H", "sandbox-1", "service.restart", "--watch", "8", "--yes")
        assert done.returncode == 1, done.stdout + done.stderr
        assert "did not stay up" in done.stderr
        assert "fell over" in done.stderr
    finally:
        managed.must("sandbox-1", ["mv", f"{run}.away", run])


def test_running_jobs_are_unknown_while_the_database_cannot_be_read(inv, jobrunner_unit, managed):
    managed.must("sandbox-1", ["chmod", "000", DATABASE])
    try:
        shown = good(inv("-H", "sandbox-1", "--dry", "service.restart")).stdout
        done = inv("-H", "sandbox-1", "service.stop")
        stopped = good(inv("-H", "sandbox-1", "--json", "service.stop", "--yes")).stdout
    finally:
        managed.must("sandbox-1", ["chmod", "640", DATABASE])
    assert "sandbox-1  running jobs: unknown (unable to open database file)" in shown
    assert "running jobs unknown on sandbox-1" in done.stderr
    jobs = json.loads(stopped)["hosts"]["sandbox-1"]["value"]["jobs"]
    assert jobs == {"count": None, "error": "unable to open database file"}
