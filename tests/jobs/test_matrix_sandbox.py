"""Every jobs command on a real job in every state, on two hosts.

What does not apply ends with one line that says why and what to type instead.
"""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.jobs import jobs_help as jobs

pytestmark = pytest.mark.sandbox
ONE, TWO = "sandbox-1", "sandbox-2"
BROKEN = "/srv/high_privacy/workspaces/matrix-broken"
HOST_OF = {
    "running": ONE,
    "pending": ONE,
    "killed": ONE,
    "finished": TWO,
    "failed": TWO,
    "internal_error": TWO,
}
STATES = tuple(HOST_OF)
ROWS = {
    "running": ("running", "executing"),
    "pending": ("pending", "paused"),
    "killed": ("failed", "killed_by_admin"),
    "finished": ("succeeded", "succeeded"),
    "failed": ("failed", "nonzero_exit"),
    "internal_error": ("failed", "internal_error"),
}
FLAGS = (
    "runuser -u opensafely -- bash -c '. ~opensafely/config/load-env;"
    " cd ~opensafely/jobrunner/code; python3 -m jobrunner.cli.flags set paused=true'"
)


def on_one(managed, inv):
    """A running job, a killed job and a waiting job."""
    jobs.clear(managed, ONE)
    found = {
        "killed": jobs.started(managed, ONE, "longer", "matrix-kill"),
        "running": jobs.started(managed, ONE, "longer", "matrix-run"),
    }
    killed = inv("-H", ONE, "jobs.kill", found["killed"], "--yes")
    assert killed.returncode == 0, killed.stderr
    jobs.sh(managed, ONE, FLAGS)
    found["pending"] = managed.submit(ONE, "quick", "matrix-wait")[0]
    waits = lambda: jobs.row(managed, ONE, found["pending"])["status_code"] == "paused"  # noqa: E731
    jobs.until(waits, "the job does not wait")
    return found


def on_two(managed):
    """Jobs that succeeded, that failed, and that ended with an internal error."""
    jobs.clear(managed, TWO)
    jobs.sh(managed, TWO, f"install -d -o root -g root -m 755 {BROKEN}")
    found = {
        "finished": managed.submit(TWO, "quick", "matrix")[0],
        "failed": managed.submit(TWO, "fail", "matrix")[0],
    }
    for job in found.values():
        jobs.ended(managed, TWO, job)
    # A real internal error, which also takes the service down.
    found["internal_error"] = managed.submit(TWO, "quick", "matrix-broken")[0]
    jobs.ended(managed, TWO, found["internal_error"])
    jobs.sh(managed, TWO, jobs.RESTART)
    return found


@pytest.fixture(scope="module")
def made(managed, inv):
    """Six jobs, all run by job-runner itself; their ids by state."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(on_one, managed, inv), pool.submit(on_two, managed)
        found = first.result() | second.result()
    yield found
    jobs.sh(managed, TWO, f"rm -rf {BROKEN}")
    for host in (ONE, TWO):
        jobs.clear(managed, host)


@pytest.fixture
def ask(inv, made):
    """Run a command on both hosts with the job in a state; fails on a traceback."""

    def run(state, *argv):
        done = inv("-H", "sandbox", *argv, *([made[state]] if state else []))
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


def plain(text):
    """What the terminal showed, without colours and without lines that were replaced."""
    text = re.sub(r"[^\n]*\r\x1b\[J", "", text)
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def refused(text, *words):
    """Check for one error with each of these words, and a line with what to type next."""
    assert "Traceback" not in text
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if line[:1].strip()] == ["error", "next:"], text
    for word in words:
        assert word in " ".join(lines), (word, text)


def row(managed, made, state):
    """The job's row of the database, without the time of job-runner's last check."""
    return jobs.row(managed, HOST_OF[state], made[state]) | {"updated_at": 0}


def test_each_job_is_in_its_intended_state(managed, made):
    for state in made:
        found = row(managed, made, state)
        assert (found["state"], found["status_code"]) == ROWS[state]


# -- all jobs at once ------------------------------------------------------------------------


def test_ls_lists_each_job_once_without_disagreement(ask, made):
    done = ask("", "jobs.ls", "--all", "--json")
    assert done.returncode == 0, done.stderr
    hosts = json.loads(done.stdout)["hosts"]
    listed = {(host, job["id"]): job for host in hosts for job in hosts[host]["value"]}
    assert set(listed) == {(HOST_OF[state], job) for state, job in made.items()}
    for state, job in made.items():
        found = listed[HOST_OF[state], job]
        assert (found["state"], found["status_code"]) == ROWS[state]
        assert found["disagreement"] == ""
    table = ask("", "jobs.ls").stdout
    active = ("running", "pending")
    assert [job in table for job in made.values()] == [state in active for state in made]


def test_stats_and_queries_list_only_running_jobs(ask, made):
    done = ask("", "jobs.stats")
    assert done.returncode == 0, done.stderr
    assert [job in done.stdout for job in made.values()] == [s == "running" for s in made]
    done = ask("", "jobs.queries")
    assert (done.returncode, "no database job is running" in done.stdout) == (0, True)


# -- one by one ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_show_shows_jobs_in_every_state(ask, made, state):
    done = ask(state, "jobs.show")
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    status, code = ROWS[state]
    assert first.split(",")[0] in (f"{status}: {code}", status, code)
    assert f"{HOST_OF[state]}  {made[state]}  " in done.stdout
    kept = any(line.startswith("container  ") and "os-job-" in line for line in lines)
    assert kept == (state in ("running", "internal_error"))
    is_active = state in ("running", "pending")
    assert ("  completed  " in done.stdout) == (not is_active)
    assert any(line.endswith("  now") for line in lines) == is_active
    ended = {"finished": "0", "failed": "1", "killed": "137"}
    assert (", exit code " in first) == (state in ended or state == "internal_error")
    assert f"exit code {ended.get(state, '')}" in first or state not in ended


@pytest.mark.parametrize("state", STATES)
def test_logs_shows_every_job_that_has_begun(ask, state):
    done = ask(state, "jobs.logs")
    if state == "pending":
        assert done.returncode == 2
        refused(done.stderr, "(pending, paused) has no output", "jobs.show")
        return
    assert done.returncode == 0, done.stderr
    kept = state in ("running", "internal_error")
    assert ("container os-job-" if kept else "/logs.txt: ") in done.stdout
    assert " lines, " in done.stdout


@pytest.mark.parametrize("state", [state for state in STATES if state != "running"])
def test_logs_follow_ends_at_once_for_a_job_that_is_not_running(ask, state):
    done = ask(state, "jobs.logs", "--follow")
    if state == "pending":
        refused(done.stderr, "has no output")
    assert done.returncode == (2 if state == "pending" else 0), done.stderr


def test_logs_follow_continues_while_the_job_runs(made, sandbox_dir):
    child = jobs.terminal(sandbox_dir, "-H", "sandbox", "jobs.logs", made["running"], "--follow")
    child.expect(r"second \d+ of 600")
    child.sendintr()
    _, code = jobs.finished(child)
    assert code == 130


@pytest.mark.parametrize("state", STATES)
def test_logs_metadata_works_only_for_an_ended_job(ask, state):
    done = ask(state, "jobs.logs", "--metadata")
    if state in ("running", "pending", "internal_error"):
        assert done.returncode == 2, done.stdout
        is_over = state == "internal_error"
        refused(done.stderr, f"has no metadata.json{'' if is_over else ' yet'} ({HOST_OF[state]})")
    else:
        assert done.returncode == 0, done.stderr
        assert "/metadata.json: " in done.stdout


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("task", ["jobs.mount", "jobs.strace"])
def test_mount_and_strace_need_a_volume_and_a_process(made, sandbox_dir, state, task):
    mount = task == "jobs.mount"
    words = ["ls", "/workspace"] if mount else ["-V"]
    child = jobs.terminal(sandbox_dir, "-H", "sandbox", task, made[state], "--", *words)
    shown, code = jobs.finished(child)
    if state == "running" or (mount and state == "internal_error"):
        assert code == 0, shown
        assert ("analysis" if mount else "strace -- version") in shown
        return
    assert code == 2, shown
    refused(plain(shown), f"{made[state]} ({', '.join(ROWS[state])})")


@pytest.mark.parametrize("state", STATES)
def test_the_services_log_mentions_jobs_in_every_state(inv, made, state):
    done = inv("-H", "sandbox", "logs", "--job", made[state])
    assert done.returncode == 0, done.stderr
    assert made[state] in done.stdout
    assert ("Traceback (most recent" in done.stdout) == (state == "internal_error")


# -- changing the jobs: must be last ---------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_retry_works_only_for_an_internal_error(managed, ask, made, state):
    before = row(managed, made, state)
    done = ask(state, "jobs.retry", "--dry" if state == "internal_error" else "--yes")
    if state == "internal_error":
        assert done.returncode == 0, done.stderr
        told = json.loads(ask(state, "--json", "jobs.retry", "--dry").stdout)
        assert told["hosts"][TWO]["value"]["jobs"] == {
            made[state]: [f"retry, from volume os-volume-{made[state]}"]
        }
        assert f"retry, from volume os-volume-{made[state]}" in done.stdout
    else:
        assert done.returncode == 2
        refused(done.stderr, "only internal errors can be retried", f"jobs.show {made[state]}")
    assert row(managed, made, state) == before


@pytest.mark.parametrize("state", STATES)
def test_kill_changes_only_jobs_that_are_not_over(managed, ask, made, state):
    host, job = HOST_OF[state], made[state]
    before = row(managed, made, state)
    dry = json.loads(ask(state, "--json", "jobs.kill", "--dry").stdout)
    planned = dry["hosts"][host]["value"]["jobs"][job]
    assert bool(planned) == (state in ("running", "pending", "internal_error"))
    assert row(managed, made, state) == before
    done = ask(state, "jobs.kill", "--yes")
    assert done.returncode == 0, done.stderr
    after = row(managed, made, state)
    assert not {name for name in jobs.containers(managed, host) if job in name}
    if state in ("running", "pending"):
        assert (after["state"], after["status_code"]) == ROWS["killed"]
    else:
        assert after == before
    assert ("nothing to do" in done.stdout) == (state in ("finished", "failed", "killed"))
    if state == "internal_error":
        assert "remove container, remove volume" in done.stdout
