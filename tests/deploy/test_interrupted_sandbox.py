"""A deploy that is interrupted at any point: the next run finishes it, and nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.deploy.deploy_help import good, running_job
from tests.look import CODE, DB, SQLITE, STATE

pytestmark = pytest.mark.sandbox
HOSTS = ("sandbox-1", "sandbox-2")
ROOT = Path(__file__).resolve().parents[2]


def until_free(host):
    deadline = time.monotonic() + 60
    while not host.lock_is_free:
        assert time.monotonic() < deadline, "the lock is still held"
        time.sleep(0.3)


def served_in_between(host):
    """Do what a reboot does: run the service and let it write a job; returns the job's id."""
    host.sh("systemctl start jobrunner")
    job = "writteninbetween"
    host.sh(
        f'runuser -u opensafely -- {SQLITE} {DB} "'
        "CREATE TEMP TABLE one AS SELECT * FROM job LIMIT 1;"
        f" UPDATE one SET id = '{job}', state = 'succeeded', status_code = 'succeeded';"
        ' INSERT INTO job SELECT * FROM one"'
    )
    return job


def behind_a_proxy(tmp_path):
    """Arguments for a connection through a ProxyCommand."""
    config = tmp_path / "ssh_config"
    netcat = ROOT / "tests" / "netcat.py"
    config.write_text(f"ProxyCommand {sys.executable} {netcat} %h %p\n")
    return ["--ssh-config", str(config)]


def start_deploy(sandbox_dir, tmp_path, *, until, task="deploy", extra=()):
    """Start a separate client in its own process group; wait until it has begun this step."""
    command = [
        str(Path(sys.executable).with_name("inv")),
        "--inventory",
        str(sandbox_dir / "hosts.yaml"),
        "-H",
        "sandbox-1",
        task,
        "--watch",
        "4",
        "--yes",
        *extra,
    ]
    client = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert any(until in line for line in client.stderr)
    return client


STEPS = ("stop the service", "move dependencies", "start the service", "check that every job")


@pytest.mark.parametrize("choice", ["finish", "back"])
@pytest.mark.parametrize("step", STEPS)
def test_the_next_run_ends_a_deploy_after_its_client_was_killed(
    managed, look, inv, at_old_release, sandbox_dir, tmp_path, step, choice
):
    job = running_job(managed, "sandbox-1", look, "longer")
    boxes = look("sandbox-1").containers
    client = start_deploy(sandbox_dir, tmp_path, until=step)
    client.send_signal(signal.SIGKILL)
    client.wait()
    host = look("sandbox-1")
    until_free(host)
    unfinished = [r for r in host.records if not r["outcome"]]
    new = {served_in_between(host)} if unfinished else set()
    done = good(inv("-H", "sandbox-1", "deploy", "--unfinished", choice, "--yes"))
    if not unfinished:  # it had ended on the host, or not begun
        assert "nothing to do: no release is unfinished" in done.stdout
        return
    assert "UNFINISHED release" in done.stdout
    at = ("v2.73.0", "v2.73.0", 3) if choice == "finish" else ("v2.71.0", "v2.71.0", 1)
    assert (host.code, host.lib, host.version) == at
    assert host.serving
    assert {job, *new} <= set(host.jobs())
    assert host.containers == boxes
    assert all(record["outcome"] for record in host.records)
    assert host.lock_is_free


@pytest.mark.parametrize(
    ("step", "choice", "at"),
    [
        ("move dependencies", "finish", ("v2.71.0", "v2.71.0", 1)),
        ("start the service", "back", ("v2.73.0", "v2.73.0", 3)),
    ],
)
def test_an_interrupted_rollback_loses_no_newer_rows(
    managed, look, inv, at_old_release, sandbox_dir, tmp_path, step, choice, at
):
    good(inv("-H", "sandbox-1", "deploy", "--watch", "1", "--yes"))
    host = look("sandbox-1")
    job, boxes = running_job(managed, "sandbox-1", look, "longer"), host.containers
    client = start_deploy(sandbox_dir, tmp_path, until=step, task="deploy.rollback")
    client.send_signal(signal.SIGKILL)
    client.wait()
    until_free(host)
    assert [record["outcome"] for record in host.records] == ["deployed", ""]
    new = served_in_between(host)
    good(inv("-H", "sandbox-1", "deploy", "--unfinished", choice, "--yes"))
    assert (host.code, host.lib, host.version) == at
    assert {job, new} <= set(host.jobs())
    assert host.serving
    assert host.containers >= boxes


def test_a_host_is_not_started_while_another_is_unfinished(
    managed, look, inv, at_old_release, sandbox_dir, tmp_path
):
    client = start_deploy(sandbox_dir, tmp_path, until="start the service")
    client.send_signal(signal.SIGKILL)
    client.wait()
    until_free(look("sandbox-1"))
    pid = look("sandbox-1").main_pid
    for task in ("deploy.rollback", "service.restart"):
        refused = inv("-H", "sandbox-1", task, "--yes")
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "is unfinished" in refused.stderr
    assert look("sandbox-1").main_pid == pid
    look("sandbox-1").sh("systemctl stop jobrunner")
    refused = inv("-H", "sandbox-1", "manage", "--only", "service", "--yes")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "is unfinished" in refused.stderr
    assert not look("sandbox-1").serving
    look("sandbox-1").sh(f"echo x >>{CODE}/jobrunner/run.py")
    done = inv(
        "-H", "sandbox", "deploy", "--ref", "broken-crash", "--unfinished", "finish", "--yes"
    )
    assert done.returncode == 1
    assert "broken-crash is not deployed by this run" in done.stderr
    assert "    jobrunner/run.py" in done.stdout.splitlines()
    assert "not started: sandbox-2" in done.stderr
    assert (look("sandbox-1").code, look("sandbox-2").code) == ("v2.73.0", "v2.71.0")
    good(inv("-H", "sandbox", "deploy", "--yes"))
    assert look("sandbox-2").code == "v2.73.0"


def test_ctrl_c_twice_ends_at_once_and_the_next_run_continues(
    managed, look, inv, at_old_release, sandbox_dir, tmp_path
):
    client = start_deploy(sandbox_dir, tmp_path, until="start the service")
    client.send_signal(signal.SIGINT)
    assert any("Ctrl-C again" in line for line in client.stderr), "it did not hear the first one"
    client.send_signal(signal.SIGINT)
    assert client.wait(timeout=10) == 130
    until_free(look("sandbox-1"))
    good(inv("-H", "sandbox-1", "deploy", "--unfinished", "back", "--yes"))
    assert look("sandbox-1").code == "v2.71.0"
    assert look("sandbox-1").serving


@pytest.mark.parametrize("way", ["directly", "behind a proxy"])
def test_ctrl_c_goes_back_to_the_old_release(
    managed, look, inv, at_old_release, sandbox_dir, tmp_path, way
):
    before = look("sandbox-1").whole()
    extra = behind_a_proxy(tmp_path) if way == "behind a proxy" else []
    client = start_deploy(sandbox_dir, tmp_path, until="move dependencies", extra=extra)
    # As a terminal does: to every process of the group.
    os.killpg(client.pid, signal.SIGINT)
    _, err = client.communicate(timeout=90)
    assert client.returncode == 130, err
    assert "the host is at v2.71.0" in err
    assert "Traceback" not in err
    assert look("sandbox-1").whole() == before
    assert look("sandbox-1").lock_is_free


def test_the_second_of_two_operators_is_refused(
    managed, look, inv, at_old_release, sandbox_dir, tmp_path
):
    first = start_deploy(sandbox_dir, tmp_path, until="stop the service")
    second = inv("-H", "sandbox-1", "service.restart", "--yes")
    assert second.returncode == 2, second.stdout + second.stderr
    assert "someone is changing it" in second.stderr
    first.communicate(timeout=120)
    assert first.returncode == 0
    assert look("sandbox-1").code == "v2.73.0"


def test_old_snapshots_are_pruned_to_the_newest_five(managed, look, inv, at_old_release):
    host = look("sandbox-1")
    host.sh(f"install -d -o opensafely -g opensafely {STATE}/snapshots")
    for number in range(1, 8):
        name = f"2020010{number}T000000-abcdef.sqlite"
        host.sh(f"install -o opensafely /dev/null {STATE}/snapshots/{name}")
    good(inv("-H", "sandbox-1", "deploy", "--watch", "2", "--yes"))
    left = host.sh(f"ls {STATE}/snapshots").split()
    # Those of other releases are counted separately: five of them, and the new one.
    assert left[0] == "20200103T000000-abcdef.sqlite"
    assert len(left) == 6


def test_a_deploy_continues_when_the_reader_of_its_output_is_gone(
    managed, look, inv, at_old_release, sandbox_dir, tmp_path
):
    client = start_deploy(sandbox_dir, tmp_path, until="stop the service")
    client.stderr.close()
    client.stdout.close()
    assert client.wait(timeout=120) == 0
    assert (look("sandbox-1").code, look("sandbox-1").serving) == ("v2.73.0", True)
    assert look("sandbox-1").records[-1]["outcome"] == "deployed"
