"""jobs.kill and jobs.retry on real hosts: a fault at the moment after the first change.

The host's state is read without our own code. The hint of each error is typed, and completes it.
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs import jobs_help as jobs
from tests.look import until

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOST = "sandbox-1"
ROOT = Path(__file__).resolve().parents[2]
# Runs on the host: wait until a query finds one of these values, then make a fault.
FAULT = """
import sqlite3, subprocess, sys, time
path, query, wanted, fault = sys.argv[1:]
base = sqlite3.connect(path, timeout=20, isolation_level=None)
while base.execute(query).fetchone()[0] not in wanted.split():
    time.sleep(0.01)
if fault == "docker":
    subprocess.run(["systemctl", "stop", "docker.socket", "docker"], check=True)
else:
    base.execute("PRAGMA journal_mode = DELETE")
    base.execute("BEGIN EXCLUSIVE")
    print("locked", flush=True)
    time.sleep(300)
"""
HEAL = {
    "docker": "systemctl start docker.socket docker",
    "lock": "systemctl stop test-fault; true",
}
CAUSE = {"docker": "docker", "lock": "database is locked"}


@pytest.fixture(scope="module", autouse=True)
def clean(managed):
    jobs.clear(managed, HOST)
    yield
    jobs.sh(managed, HOST, "; ".join(HEAL.values()))
    jobs.clear(managed, HOST)


@pytest.fixture
def fault(managed):
    """Make a fault as soon as a query finds one of these values; returns what ends the fault."""

    def arm(query, wanted, kind):
        managed.must(HOST, ["tee", "/tmp/fault.py"], stdin=FAULT)
        words = shlex.join(["/tmp/fault.py", jobs.DB, query, wanted, kind])
        jobs.sh(managed, HOST, f"systemd-run -q --collect --unit=test-fault python3 {words}")
        return lambda: jobs.sh(managed, HOST, HEAL[kind])

    yield arm
    jobs.sh(managed, HOST, "; ".join(HEAL.values()))


def status_of(job):
    return f"select status_code from job where id = '{job}'"


def left(managed, job):
    """Container and volume of a job, as docker lists them."""
    names = f"docker ps -aq --filter name={job}; docker volume ls -q --filter name={job}"
    return jobs.sh(managed, HOST, names).split()


def failed(done):
    """The error of a run that failed; it does not say that nothing was touched."""
    assert done.returncode == 1, done.stdout + done.stderr
    host = json.loads(done.stdout)["hosts"][HOST]
    assert host["outcome"] == "failed"
    text = done.stdout + done.stderr
    assert "Traceback (most recent" not in done.stderr
    assert "nothing was" not in text
    return host["error"]


def follow(inv, hint):
    """Type the task of a hint."""
    words = shlex.split(hint.partition("inv ")[2].partition(": ")[0].partition("; ")[0])
    return inv(*words, "--yes")


@pytest.mark.parametrize("kind", ["lock", "docker"])
def test_a_fault_just_after_the_mark_is_a_failure_that_the_hint_completes(
    managed, inv, fault, kind
):
    job = jobs.started(managed, HOST, "longer", f"fault-{kind}")
    heal = fault(status_of(job), "killed_by_admin", kind)
    error = failed(inv("-H", HOST, "--json", "jobs.kill", job, "--yes"))
    assert CAUSE[kind] in error["message"]
    assert job in error["message"]
    assert error["hint"] == f"inv -H {HOST} jobs.kill {job}; it does the rest"
    heal()
    row = jobs.row(managed, HOST, job)
    # Without docker, the service itself may record an error of the job afterwards.
    ends = ["killed_by_admin", *(["internal_error"] if kind == "docker" else [])]
    assert row["state"] == "failed"
    assert row["status_code"] in ends
    if "now" in error:
        assert error["now"] in [{"jobs": {job: f"failed ({end})"}} for end in ends]
    assert left(managed, job)
    done = follow(inv, error["hint"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert left(managed, job) == []
    assert jobs.sh(managed, HOST, "flock -n /var/lib/opstasks/lock echo free") == "free"


@pytest.mark.parametrize("kind", ["lock", "docker"])
def test_a_fault_just_after_a_retry_began_does_not_say_that_it_was_refused(
    managed, inv, fault, unstored_job, kind
):
    jobs.sh(managed, HOST, jobs.RESTART)
    # The status of the job before the retry is internal_error.
    heal = fault(status_of(unstored_job), "executed executing finalized succeeded", kind)
    done = inv("-H", HOST, "--json", "jobs.retry", unstored_job, "--yes")
    heal()
    jobs.sh(managed, HOST, jobs.RESTART)
    assert "nothing was" not in done.stdout + done.stderr
    assert "Traceback (most recent" not in done.stderr
    if kind == "lock":
        error = failed(done)
        assert "database is locked" in error["message"]
        assert follow(inv, error["hint"]).returncode == 0
    row = jobs.ended(managed, HOST, unstored_job)
    assert row["status_code"] in ("succeeded", "internal_error")
    if row["status_code"] == "internal_error":
        again = inv("-H", HOST, "jobs.retry", unstored_job, "--yes")
        assert again.returncode == 0, again.stdout + again.stderr
    jobs.gone(managed, HOST, unstored_job)


FLAG = "select coalesce((select value from flags where id = 'paused'), '') || '.'"


@pytest.mark.parametrize(
    ("words", "first", "after"),
    [(("pause", "--reason", "x"), "unpause", "true."), (("unpause",), "pause", ".")],
)
def test_a_lock_just_after_the_flag_is_set_is_a_failure_that_the_hint_completes(
    managed, inv, fault, words, first, after
):
    inv("-H", HOST, first)
    heal = fault(FLAG, after, "lock")
    error = failed(inv("-H", HOST, "--json", *words))
    assert "database is locked" in error["message"] + error.get("tail", "")
    heal()
    assert jobs.sh(managed, HOST, f'sqlite3 {jobs.PATIENT} {jobs.DB} "{FLAG}"') == after
    again = inv("-H", HOST, *words)
    assert again.returncode == 0, again.stdout + again.stderr
    inv("-H", HOST, "unpause")


# -- what an interrupted kill leaves -------------------------------------------------------------


def interrupted(managed, sandbox_dir, job):
    """A kill whose client dies just after the mark."""
    words = ["--inventory", str(sandbox_dir / "hosts.yaml"), "-H", HOST, "jobs.kill", job, "--yes"]
    argv = [str(Path(sys.executable).with_name("inv")), *words]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, cwd=ROOT, stdin=quiet, stdout=quiet, stderr=quiet) as running:
        marked = lambda: jobs.row(managed, HOST, job)["status_code"] == "killed_by_admin"  # noqa: E731
        until(marked, "not marked", every_s=0.05)
        running.kill()
    until(lambda: left(managed, job), "nothing is left", 5)
    # It was a minute ago: what is recent is not named yet.
    earlier = "updated_at = updated_at - 60, status_code_updated_at = status_code_updated_at - 6e10"
    query = f"update job set {earlier} where id = '{job}'"
    jobs.sh(managed, HOST, f'sqlite3 {jobs.PATIENT} {jobs.DB} "{query}"')


def told(inv, job):
    """What jobs.ls and status say about a job."""
    listed = inv("-H", HOST, "jobs.ls")
    return listed.stdout + listed.stderr, inv("-H", HOST, "--json", "status").stdout


def checks(inv, job):
    """What doctor says about a job."""
    found = json.loads(inv("-H", HOST, "--json", "doctor").stdout)["hosts"][HOST]["value"]
    return [c for c in found["checks"] if c["name"] == f"job {job}"]


@pytest.mark.parametrize("gone", ["nothing", "process", "container"])
def test_what_an_interrupted_kill_left_is_named_with_the_task_that_removes_it(
    managed, inv, sandbox_dir, gone
):
    job = jobs.started(managed, HOST, "longer", f"left-{gone}")
    interrupted(managed, sandbox_dir, job)
    how = {"process": "docker kill", "container": "docker rm -f", "nothing": "true"}[gone]
    jobs.sh(managed, HOST, f"{how} os-job-{job}")
    (check,) = until(lambda: checks(inv, job), "not named", 60, every_s=5)
    listed, status = told(inv, job)
    what = "volume" if gone == "container" else "container and volume"
    assert check["text"] == f"{what} still there, job is failed (killed_by_admin)"
    assert check["hint"] == f"inv -H {HOST} jobs.kill {job}"
    assert f"inv -H {HOST} jobs.kill {job}" in listed
    assert job in status
    done = follow(inv, check["hint"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert left(managed, job) == []
    listed, status = told(inv, job)
    assert (checks(inv, job), job in listed, job in status) == ([], False, False)


def test_a_volume_without_a_job_is_named_with_the_commands_that_remove_it(managed, inv):
    job = jobs.started(managed, HOST, "longer", "lost")
    jobs.sh(
        managed,
        HOST,
        f"{jobs.STOP}; docker rm -f os-job-{job};"
        f" sqlite3 {jobs.PATIENT} {jobs.DB} \"delete from job where id = '{job}'\";"
        " systemctl reset-failed jobrunner; systemctl start jobrunner",
    )
    (check,) = checks(inv, job)
    assert check["text"] == "volume without a job"
    words = shlex.split(check["hint"].partition("then: inv ")[2])
    assert inv(*words).returncode == 0
    assert left(managed, job) == []
    assert checks(inv, job) == []
