"""The preparation by the service account, without systemd, docker or job-runner."""

import pytest

from opstasks.maintenance.onhost import prepare, prepare_own, restore, units
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.maintenance.onhost_help import OLD, add_job, never, request_of


@pytest.fixture
def service(monkeypatch, systemd, docker):
    """The service, up; its jobs can be requeued."""
    inactive = {"jobrunner": "inactive"}
    systemd.states["jobrunner"] = "active"
    monkeypatch.setattr(prepare_own, "problems", lambda site: [])
    for module in (prepare_own, restore):
        monkeypatch.setattr(module, "is_down", systemd.is_down)
    monkeypatch.setattr(prepare_own, "stop_unit", lambda unit: systemd.states.update(inactive))
    active = {"jobrunner": "active"}
    monkeypatch.setattr(restore, "start_unit", lambda unit, user: systemd.states.update(active))
    monkeypatch.setattr(restore, "is_up", lambda unit: not systemd.is_down(unit))
    monkeypatch.setattr(restore, "SETTLE_S", 0)
    return systemd


@pytest.fixture
def job_runner(database, monkeypatch):
    def requeue(site, module, *, answer, timeout_s):
        assert (module, answer) == ("jobrunner.cli.prepare_for_reboot", "y\n")
        with database:
            database.execute("UPDATE job SET state = 'pending', status_code = 'waiting_on_reboot'")

    monkeypatch.setattr(prepare, "job_runner", requeue)


def prepared(site):
    return prepare_own.main(request_of(site, id=OLD))


def test_the_service_account_requeues_its_jobs_once(site, database, service, job_runner):
    add_job(database, "a", "running", "executing")
    first = prepared(site)
    assert (first["changed"], first["requeued"]) == (True, ["a"])
    assert (first["now"]["service"], first["now"]["prepared"]) == ("stopped", True)
    again = prepared(site)
    assert (again["changed"], again["requeued"], again["now"]["prepared"]) == (False, ["a"], True)


def test_a_step_that_fails_starts_the_service_again(site, database, service, monkeypatch):
    def broken(*args, **options):
        raise HostFailure("no docker today", "line 1")

    monkeypatch.setattr(prepare, "job_runner", broken)
    with pytest.raises(HostFailure, match="no docker today; now service up") as caught:
        prepared(site)
    assert caught.value.detail == "line 1"


def test_a_refusal_after_the_stop_is_a_failure(site, database, service, monkeypatch):
    def refused(site, id):
        raise HostRefusal("no")

    monkeypatch.setattr(prepare_own, "snapshot", refused)
    with pytest.raises(HostFailure, match="no; now service up"):
        prepared(site)


def test_a_problem_is_found_before_anything_is_stopped(site, database, service, monkeypatch):
    monkeypatch.setattr(prepare_own, "problems", lambda site: ["no docker"])
    monkeypatch.setattr(prepare_own, "stop_unit", never("stopped"))
    with pytest.raises(HostRefusal, match="no docker"):
        prepared(site)


@pytest.mark.parametrize(("uid", "begins"), [(0, []), (1001, ["sudo", "-n"])])
def test_a_unit_is_started_with_exactly_the_granted_command(monkeypatch, uid, begins):
    told = []
    monkeypatch.setattr(units.os, "geteuid", lambda: uid)
    monkeypatch.setattr(units, "required", lambda reason, *words, **options: told.append(words))
    units.systemctl("stop", "jobrunner")
    assert told == [(*begins, "/usr/bin/systemctl", "stop", "jobrunner")]
