"""jobs.queries with a real extract job, and with a database job of an unknown image."""

import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOST = "sandbox-1"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def extract(managed):
    """A real ehrql job that has sent its first statement; it fails at the end."""
    (job,) = managed.submit(HOST, "extract", "queries")
    deadline = time.monotonic() + 90
    while "INSERT" not in managed.exec_(HOST, ["docker", "logs", f"os-job-{job}"]).stdout:
        assert time.monotonic() < deadline, "the job does not start"
        time.sleep(0.5)
    yield job
    managed.exec_(HOST, ["docker", "kill", f"os-job-{job}"])


def seconds(text):
    return datetime.fromisoformat(text).timestamp()


def told(inv):
    done = inv("-H", HOST, "--json", "jobs.queries")
    assert done.returncode == 0, done.stderr
    return {q["job"]: q for q in json.loads(done.stdout)["hosts"][HOST]["value"]}


def test_the_last_statement_of_a_running_job_is_shown_with_its_time(managed, inv, extract):
    query = told(inv)[extract]
    log = managed.must(HOST, ["docker", "logs", "-t", f"os-job-{extract}"])
    stamps = [line.split()[0][:19] for line in log.splitlines() if "INSERT INTO" in line]
    times = [datetime.fromisoformat(stamp + "+00:00").timestamp() for stamp in stamps]
    began_at, now_at = (seconds(query[name]) for name in ("began_at", "now_at"))
    assert int(began_at) in times
    assert now_at - began_at < 120
    assert (query["action"], query["workspace"]) == ("extract", "queries")
    assert query["sql"] == ""


def test_statements_go_only_to_a_terminal(inv, extract, sandbox_dir):
    done = inv("-H", HOST, "current-queries", "--sql")
    assert (done.returncode, "terminal" in done.stderr) == (2, True)
    assert "INSERT" not in done.stdout + done.stderr
    assert inv("-H", HOST, "--json", "jobs.queries", "--sql").returncode == 2
    words = [str(Path(sys.executable).with_name("inv")), "--inventory", sandbox_dir / "hosts.yaml"]
    line = " ".join(map(str, [*words, "-H", HOST, "jobs.queries", "--sql"]))
    shown = subprocess.run(
        ["script", "-qec", line, "/dev/null"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "INSERT INTO [#tmp_" in shown


def test_a_database_job_of_an_unknown_image_has_an_unknown_statement(managed, inv):
    image = "ghcr.io/opensafely-core/python:v1"
    run = ["docker", "run", "-d", "--rm", "--name", "os-job-unknown", "--network", "jobrunner-db"]
    managed.must(HOST, [*run, "--entrypoint", "sleep", image, "300"])
    try:
        assert "log format of this image is unknown" in told(inv)["unknown"]["reason"]
    finally:
        managed.exec_(HOST, ["docker", "rm", "--force", "os-job-unknown"])
