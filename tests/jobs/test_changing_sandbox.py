"""jobs.kill and jobs.retry on real jobs: job-runner, its database and the job-server agree."""

import json

import pytest

from tests.jobs import jobs_help as jobs

pytestmark = pytest.mark.sandbox
ONE, TWO = HOSTS = ("sandbox-1", "sandbox-2")
WORKSPACE = jobs.BROKEN_WORKSPACE


@pytest.fixture(scope="module", autouse=True)
def clean(managed):
    for host in HOSTS:
        jobs.clear(managed, host)
    yield
    for host in HOSTS:
        jobs.sh(managed, host, f"rm -rf {WORKSPACE}; sed -i '/hunter2/d' /home/opensafely/config/*")
        jobs.clear(managed, host)


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def volumes(managed, host):
    return set(jobs.sh(managed, host, "docker volume ls -q --filter name=os-volume-").split())


def ask_for_all(managed, host):
    """Have the job-server ask for every job, so that job-runner reports them."""
    found = json.loads(
        jobs.sh(
            managed,
            host,
            f"sqlite3 {jobs.PATIENT} -readonly -json {jobs.DB} 'select original from job_request'",
        )
    )
    requests = [
        {"codelists_ok": True, "cancelled_actions": [], **json.loads(r["original"])} for r in found
    ]
    managed.job_requests(host, requests)


def heard(managed, host, job):
    """What the job-server was told about a job, in order."""
    posts = [
        post["jobs"] if isinstance(post, dict) else post for post in managed.reported_jobs(host)
    ]
    said = [item for post in posts for item in post if item["identifier"] == job]
    return [(item["status"], item["status_code"]) for item in said]


def told(managed, host, job):
    """What the job-server was last told about a job."""
    return (heard(managed, host, job) or [None])[-1]


def test_jobs_on_two_hosts_are_killed_and_removed(managed, inv):
    running = jobs.started(managed, ONE, "longer", "kill-1")
    other = jobs.started(managed, TWO, "longer", "kill-2")
    stays = jobs.started(managed, ONE, "longer", "stays")
    for host in HOSTS:
        ask_for_all(managed, host)
    refused = inv("-H", "sandbox", "jobs.kill", running, other)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert jobs.row(managed, ONE, running)["state"] == "running"

    dry = good(inv("-H", "sandbox", "jobs.kill", running, other, "--dry"))
    assert "mark as killed, stop container, save log" in dry.stdout
    assert jobs.row(managed, ONE, running)["state"] == "running"

    done = good(inv("-H", "sandbox", "jobs.kill", running[:14], other, "--yes"))
    assert done.stdout.count("failed (killed_by_admin)") == 2
    for host, job in ((ONE, running), (TWO, other)):
        row = jobs.row(managed, host, job)
        assert (row["state"], row["status_code"]) == ("failed", "killed_by_admin")
        assert not {name for name in jobs.containers(managed, host) if job in name}
        assert f"os-volume-{job}" not in volumes(managed, host)
        assert "second" in jobs.sh(managed, host, f"cat {jobs.LOGS}/*/os-job-{job}/logs.txt")
        knows = lambda h=host, j=job: told(managed, h, j) == ("failed", "killed_by_admin")  # noqa: E731
        jobs.until(knows, f"the job-server heard {told(managed, host, job)}", 20)
        assert jobs.sh(managed, host, "flock -n /var/lib/opstasks/lock echo free") == "free"
    assert jobs.row(managed, ONE, stays)["state"] == "running"
    assert f"os-job-{stays}" in jobs.containers(managed, ONE)
    assert jobs.sh(managed, ONE, "systemctl is-active jobrunner") == "active"

    seen = good(inv("-H", "sandbox", "jobs.show", running))
    assert "killed_by_admin" in seen.stdout
    assert "logs.txt" in good(inv("-H", "sandbox", "jobs.logs", running)).stdout
    before = jobs.row(managed, ONE, running)
    again = good(inv("-H", "sandbox", "jobs.kill", running, other, "--yes"))
    assert again.stdout.startswith("nothing to do\n")
    said = json.loads(good(inv("-H", "sandbox", "--json", "jobs.kill", running, other)).stdout)
    assert {name: set(host["value"]["jobs"]) for name, host in said["hosts"].items()} == {
        ONE: {running},
        TWO: {other},
    }
    assert jobs.row(managed, ONE, running) == before
    journal = jobs.sh(managed, ONE, "journalctl -t opstasks -o cat -n 2")
    assert journal.count("jobs.kill") == 2
    assert "changed" in journal


def test_a_job_is_kept_for_debugging_and_cleaned_up_later(managed, inv):
    job = jobs.started(managed, ONE, "longer", "kept")
    good(inv("-H", ONE, "jobs.kill", job, "--no-cleanup", "--yes"))
    assert jobs.row(managed, ONE, job)["status_code"] == "killed_by_admin"
    assert jobs.containers(managed, ONE) >= {f"os-job-{job}", f"os-volume-{job}-manager"}
    assert f"os-volume-{job}" in volumes(managed, ONE)
    exit_code = f"docker inspect --format '{{{{.State.ExitCode}}}}' os-job-{job}"
    assert jobs.sh(managed, ONE, exit_code) == "137"
    again = good(inv("-H", ONE, "jobs.kill", job, "--no-cleanup", "--yes"))
    assert "nothing to do" in again.stdout

    later = good(inv("-H", ONE, "kill-job", job, "--yes"))
    assert "remove container, remove volume" in later.stdout
    assert not {name for name in jobs.containers(managed, ONE) if job in name}
    assert f"os-volume-{job}" not in volumes(managed, ONE)


def test_kill_keeps_a_pending_job_from_running_and_ignores_an_ended_one(managed, inv):
    (over,) = managed.submit(ONE, "fail", "over")
    jobs.ended(managed, ONE, over)
    jobs.gone(managed, ONE, over)
    before = jobs.row(managed, ONE, over)
    jobs.sh(managed, ONE, "systemctl stop jobrunner")
    (waits,) = managed.submit(ONE, "longer", "waits")
    try:
        done = good(inv("-H", ONE, "jobs.kill", waits, over, "--yes"))
        assert "nothing to do: failed (nonzero_exit)" in done.stdout
        assert jobs.row(managed, ONE, waits)["status_code"] == "killed_by_admin"
    finally:
        jobs.sh(managed, ONE, "systemctl start jobrunner")
    assert jobs.row(managed, ONE, over) == before
    assert not {name for name in jobs.containers(managed, ONE) if waits in name}


def test_kill_refuses_part_of_an_id_while_a_host_does_not_answer(
    managed, inv, sandbox_dir, tmp_path
):
    import yaml

    job = jobs.started(managed, ONE, "longer", "partly")
    inventory = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    inventory["hosts"][TWO].update(address="127.0.0.1", port=9)
    path = tmp_path / "hosts.yaml"
    path.write_text(yaml.safe_dump(inventory))
    done = inv("-H", "sandbox", "jobs.kill", job[:12], "--yes", inventory=path)
    assert done.returncode == 2
    assert f"may mean another job on {TWO}" in done.stderr
    assert jobs.row(managed, ONE, job)["state"] == "running"
    good(inv("-H", "sandbox", "jobs.kill", job, "--yes", inventory=path))
    assert jobs.row(managed, ONE, job)["status_code"] == "killed_by_admin"


def test_a_saved_database_address_is_reported_and_not_printed(managed, inv):
    secret = "mssql://user:hunter2@127.0.0.1/db"
    local = "/home/opensafely/config/04_local.env"
    jobs.sh(
        managed,
        ONE,
        f"printf '%s\\n' DEFAULT_DATABASE_URL={secret} USING_DUMMY_DATA_BACKEND=False"
        f" DATABASE_ACCESS_NETWORK=bridge TEMP_DATABASE_NAME=temp-hunter2 >>{local};"
        " systemctl restart jobrunner",
    )
    try:
        job = jobs.started(managed, ONE, "extract", "secret")
        done = good(inv("-H", ONE, "jobs.kill", job, "--yes"))
        saved = jobs.sh(managed, ONE, f"cat {jobs.LOGS}/*/os-job-{job}/metadata.json")
        assert "hunter2@" in saved
        assert "the value of DATABASE_URL is plain text in" in done.stdout
        assert "hunter2" not in done.stdout + done.stderr
        everything = jobs.sh(managed, ONE, "journalctl -t opstasks -o cat")
        assert "hunter2" not in everything
    finally:
        jobs.sh(
            managed,
            ONE,
            f"sed -i -E '/hunter2|BACKEND=False|ACCESS_NETWORK=bridge/d' {local};"
            " systemctl restart jobrunner",
        )


# -- retry -----------------------------------------------------------------------------------


def test_an_internal_error_is_retried_and_all_records_agree(managed, inv, internal_error_job):
    box = jobs.sh(
        managed, ONE, f"docker inspect --format '{{{{.Id}}}}' os-job-{internal_error_job}"
    )
    ask_for_all(managed, ONE)
    shown = good(inv("-H", ONE, "jobs.ls", "--state", "failed"))
    assert "internal_error" in shown.stdout
    assert "exit code" in good(inv("-H", ONE, "jobs.show", internal_error_job)).stdout
    assert "os-job-" in good(inv("-H", ONE, "jobs.logs", internal_error_job)).stdout
    refused = inv("-H", ONE, "jobs.retry", internal_error_job)
    assert refused.returncode == 2
    jobs.allow_outputs(managed, ONE)
    jobs.sh(managed, ONE, jobs.RESTART)
    done = good(inv("-H", "sandbox", "jobs.retry", internal_error_job[:13], "--yes"))
    row = jobs.row(managed, ONE, internal_error_job)
    # The job was interrupted, so it ends with its own failure, not with an internal error.
    assert (row["state"], row["status_code"]) == ("failed", "nonzero_exit")
    assert "failed (nonzero_exit)" in done.stdout
    assert box
    jobs.gone(managed, ONE, internal_error_job)
    assert ("running", "executing") in heard(managed, ONE, internal_error_job)
    jobs.until(
        lambda: told(managed, ONE, internal_error_job) == ("failed", "nonzero_exit"), "not told", 20
    )
    again = inv("-H", ONE, "job-retry", internal_error_job, "--yes")
    assert again.returncode == 2
    assert "only internal errors" in again.stderr
    assert jobs.row(managed, ONE, internal_error_job) == row


def test_a_retry_that_fails_again_is_reported(managed, inv, internal_error_job):
    jobs.sh(managed, ONE, jobs.RESTART)
    done = inv("-H", ONE, "jobs.retry", internal_error_job, "--yes")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed again" in done.stderr
    assert f"os-job-{internal_error_job}" in jobs.containers(managed, ONE)


def test_a_retry_checks_its_requirements_before_any_change(managed, inv, internal_error_job):
    before = jobs.row(managed, ONE, internal_error_job)
    local = "/home/opensafely/config/04_local.env"
    jobs.sh(managed, ONE, f"echo JOB_SERVER_ENDPOINT=http://127.0.0.1:9/ >>{local}")
    try:
        done = inv("-H", ONE, "jobs.retry", internal_error_job, "--yes")
        assert done.returncode == 2
        assert "job-server does not answer" in done.stderr
    finally:
        jobs.sh(managed, ONE, f"sed -i '/127.0.0.1:9/d' {local}")
    jobs.sh(managed, ONE, f"docker rename os-job-{internal_error_job} away")
    done = inv("-H", ONE, "jobs.retry", internal_error_job, "--yes")
    jobs.sh(managed, ONE, f"docker rename away os-job-{internal_error_job}")
    assert (done.returncode, "no longer has a container" in done.stderr) == (2, True)
    assert jobs.row(managed, ONE, internal_error_job) == before
    good(inv("-H", ONE, "jobs.kill", internal_error_job, "--yes"))
    assert not {name for name in jobs.containers(managed, ONE) if internal_error_job in name}


# -- retries that end well -------------------------------------------------------------------

LOCAL = "/home/opensafely/config/04_local.env"
# Answers job-runner with an empty list of requests, but rejects reports.
DEAF = """
import http.server
class Deaf(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(200, b'{"results": []}')
    def do_POST(self):
        self.answer(503, b'{"error": "no news, please"}')
http.server.HTTPServer(("127.0.0.1", 8099), Deaf).serve_forever()
"""


def check_stored(managed, job):
    """Check in database, docker and on disk that it succeeded with the action's real outputs."""
    row = jobs.row(managed, ONE, job)
    assert (row["state"], row["status_code"]) == ("succeeded", "succeeded")
    assert row["completed_at"]
    jobs.gone(managed, ONE, job)
    medium = WORKSPACE.replace("high", "medium")
    stored = jobs.sh(managed, ONE, f"cat {WORKSPACE}/output/quick.csv {medium}/output/quick.txt")
    assert stored.splitlines() == ["number,value", "1,one"] * 2
    return row


def test_a_retry_succeeds_after_the_cause_is_fixed(managed, inv, unstored_job):
    jobs.sh(managed, ONE, jobs.RESTART)
    ask_for_all(managed, ONE)
    done = good(inv("-H", "sandbox", "jobs.retry", unstored_job[:13], "--yes"))
    assert f"{unstored_job} succeeded" in done.stdout
    row = check_stored(managed, unstored_job)
    said = lambda: told(managed, ONE, unstored_job) == ("succeeded", "succeeded")  # noqa: E731
    jobs.until(said, f"the job-server heard {told(managed, ONE, unstored_job)}", 20)
    again = inv("-H", ONE, "jobs.retry", unstored_job, "--yes")
    assert again.returncode == 2
    assert "is succeeded (succeeded): only internal errors can be retried" in again.stderr
    assert jobs.row(managed, ONE, unstored_job) == row


def test_the_next_run_tells_the_job_server_after_a_failed_report(managed, inv, unstored_job):
    """job-runner's retry first writes its database: the job continues even if not reported."""
    managed.job_requests(ONE, [])
    managed.must(ONE, ["tee", "/tmp/deaf.py"], stdin=DEAF)
    jobs.sh(
        managed,
        ONE,
        "systemd-run --quiet --collect --unit=test-deaf python3 /tmp/deaf.py;"
        f" echo JOB_SERVER_ENDPOINT=http://127.0.0.1:8099/api/v2/ >>{LOCAL}; {jobs.RESTART}",
    )
    try:
        done = inv("-H", ONE, "jobs.retry", unstored_job, "--yes")
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert "was retried, but the job-server was not told" in done.stderr
        assert f"inv -H {ONE} jobs.retry {unstored_job}" in done.stderr
        assert jobs.ended(managed, ONE, unstored_job)["state"] == "succeeded"
        assert ("succeeded", "succeeded") not in heard(managed, ONE, unstored_job)
        before = check_stored(managed, unstored_job)
        still = inv("-H", ONE, "jobs.retry", unstored_job, "--yes")
        assert (still.returncode, "was not told" in still.stderr) == (1, True)
    finally:
        jobs.sh(
            managed,
            ONE,
            f"sed -i '/127.0.0.1:8099/d' {LOCAL}; systemctl stop test-deaf; {jobs.RESTART}",
        )
    done = good(inv("-H", ONE, "jobs.retry", unstored_job, "--yes"))
    assert "tell the job-server" in done.stdout
    assert told(managed, ONE, unstored_job) == ("succeeded", "succeeded")
    assert jobs.row(managed, ONE, unstored_job) == before
    again = inv("-H", ONE, "jobs.retry", unstored_job, "--yes")
    assert (again.returncode, "only internal errors" in again.stderr) == (2, True)
