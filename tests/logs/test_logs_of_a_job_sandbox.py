"""`logs --job` against real jobs of the real job-runner."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOST = "sandbox-1"
ROOT = Path(__file__).resolve().parents[2]


def journal(sandbox):
    return sandbox.must(HOST, ["journalctl", "-u", "jobrunner", "-o", "cat", "--no-pager"])


def wait_for(sandbox, words):
    deadline = time.monotonic() + 60
    while words not in journal(sandbox):
        assert time.monotonic() < deadline, words
        time.sleep(0.5)


def test_all_lines_of_an_internal_error_are_shown(managed, inv):
    (job,) = managed.submit(HOST, "no_image", "logs")
    try:
        wait_for(
            managed, f"status=StatusCode.INTERNAL_ERROR workspace=logs action=no_image id={job}"
        )
        wait_for(managed, "jobrunner.run.ExecutorError: Docker image")
        done = inv("-H", HOST, "logs", "--job", job, "--raw")
        assert done.returncode == 0, done.stderr
        messages = [line.split(": ", 1)[1] for line in done.stdout.splitlines()]
        assert job in messages[0]
        assert any("Internal error: this usually means" in text for text in messages)
        assert any(text.startswith("Traceback") for text in messages)
        assert messages[-1].startswith("jobrunner.run.ExecutorError: Docker image")
        last = inv("-H", HOST, "logs", "--job", job, "--lines", "2", "--raw").stdout.splitlines()
        assert last == done.stdout.splitlines()[-2:]
        told = json.loads(inv("-H", HOST, "--json", "logs", "--job", job).stdout)
        crash = told["hosts"][HOST]["value"][-1]
        assert (crash["job"], crash["action"], crash["is_error"]) == (job, "no_image", True)
        assert crash["message"].startswith("Internal error: ")
        assert "\njobrunner.run.ExecutorError: Docker image" in crash["message"]
        (line,) = [
            line
            for line in inv("-H", HOST, "logs", "--job", job).stdout.splitlines()
            if "! Internal error" in line
        ]
        assert f"  {job}  logs/no_image  " in line
    finally:
        # The error ended the service; systemd would wait a minute.
        managed.must(HOST, ["systemctl", "restart", "jobrunner"])


def test_following_a_job_shows_new_lines_and_ends_journalctl(managed, inv, sandbox_dir):
    # If it succeeded before, job-runner would not run it again.
    (job,) = managed.submit(HOST, "quick", f"logs-{secrets.token_hex(4)}")
    words = [str(Path(sys.executable).with_name("inv")), "--inventory", sandbox_dir / "hosts.yaml"]
    following = subprocess.Popen(
        [*words, "-H", HOST, "logs", "--job", job, "--follow"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        seen, deadline = [], time.monotonic() + 60
        while not any("Completed" in line for line in seen):
            assert time.monotonic() < deadline, seen
            seen.append(following.stdout.readline())
            if "FINALIZED -> " in seen[-1]:
                break
        assert all(job in line for line in seen)
    finally:
        os.kill(following.pid, signal.SIGINT)
        _, err = following.communicate(timeout=20)
    assert "Traceback" not in err
    deadline = time.monotonic() + 20
    while managed.exec_(HOST, ["pgrep", "-f", "journalctl.*--follow"]).returncode == 0:
        assert time.monotonic() < deadline, "journalctl is still running"
        time.sleep(0.5)
