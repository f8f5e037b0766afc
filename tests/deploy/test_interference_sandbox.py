"""What people and other programs do to a host during a deploy is reported as that.

It is never blamed on the release, and every claim of a result agrees with the host.
"""

import json
import threading
import time

import pytest

from tests.deploy.deploy_help import good, running_job
from tests.look import CODE, DB, STATE, Look, until

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOST = "sandbox-1"
WATCH_S = 6
LOCK_DATABASE = (
    "import sqlite3, time\n"
    f"c = sqlite3.connect('{DB}', isolation_level=None, timeout=60)\n"
    "c.execute('BEGIN EXCLUSIVE')\nprint('locked', flush=True)\ntime.sleep({seconds})\n"
)


@pytest.fixture
def host(managed):
    """sandbox-1 at 2.71.0, serving, with a new release upstream; repaired afterwards."""
    found = Look(managed, HOST)
    found.back_to_the_old_release()
    managed.publish("v2.73.0")
    yield found
    managed.publish("v2.71.0")
    found.sh(
        "rm -rf /run/systemd/system/jobrunner.service.d; systemctl daemon-reload;"
        " systemctl reset-failed jobrunner || true; systemctl start jobrunner"
    )


@pytest.fixture
def deploy(inv):
    """Run a task on the host, `--json`; returns its exit code and what it says of the host."""

    def run(*argv):
        done = inv("-H", HOST, "--json", *argv, "--yes", timeout_s=400)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)["hosts"][HOST]

    return run


GIT = "/usr/local/bin/git"
JOURNALCTL = "/usr/local/bin/journalctl"
SLOW_JOURNALCTL = (
    '#!/bin/sh\\ncase "$*" in *show-cursor*) sleep 5;; esac\\nexec /usr/bin/journalctl "$@"\\n'
)
UP_THEN_RESTART = (
    "for i in $(seq 100); do systemctl -q is-active jobrunner && break; sleep 0.2; done;"
    " sleep 2; systemctl restart jobrunner"
)
SLOW_GIT = '#!/bin/sh\\ncase " $* " in *" checkout "*) sleep 4;; esac\\nexec /usr/bin/git "$@"\\n'

# A checkout waits for a person who has begun, until the person has finished; at most 20 s.
WAITING_GIT = (
    '#!/bin/sh\\ncase " $* " in *" checkout "*) for i in $(seq 100); do'
    " [ -e /run/begun ] && [ ! -e /run/finished ] || break; sleep 0.2; done;; esac\\n"
    'exec /usr/bin/git "$@"\\n'
)


def at(step, host, action, *, after_s=1):
    """Do something once a release has reached a step; returns the thread."""

    def work():
        until(lambda: any(r.get("step") == step for r in host.records), step, every_s=0.1)
        time.sleep(after_s)
        host.sh(action)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def check_claims(host, now):
    """Compare a result's claims with what root sees on the host."""
    state = host.sh("systemctl show -p ActiveState --value jobrunner")
    words = {"active": "up", "activating": "starting", "inactive": "stopped", "failed": "failed"}
    assert now["service"] == words[state]
    assert now["code"] == host.sh(f"git -C {CODE} rev-parse HEAD")
    assert now["database_version"] == host.version
    assert now["unfinished"] == next((r["id"] for r in host.records if not r["outcome"]), "")


def test_a_restart_by_hand_during_the_watch_does_not_undo_the_release(host, deploy):
    thread = at("starting", host, "systemctl restart jobrunner")
    code, found = deploy("deploy", "--watch", str(WATCH_S))
    thread.join()
    assert code == 0, found
    assert (host.code, host.version, host.serving) == ("v2.73.0", 3, True)
    assert any("somebody restarted jobrunner at" in note for note in found["value"]["notes"])
    check_claims(host, found["value"]["now"])


def test_a_restart_by_hand_that_logs_at_once_is_judged_from_its_start(host, deploy):
    """The service has logged its second start before the release asks for its log again."""
    slow = (
        '#!/bin/sh\\ncase "$*" in *show-cursor*) sleep 5;; esac\\nexec /usr/bin/journalctl "$@"\\n'
    )
    host.sh(f"printf '{slow}' >{JOURNALCTL}; chmod 755 {JOURNALCTL}")
    try:
        thread = at("starting", host, UP_THEN_RESTART)
        code, found = deploy("deploy", "--watch", str(WATCH_S))
        thread.join()
    finally:
        host.sh(f"rm -f {JOURNALCTL}")
    assert code == 0, found
    assert any("somebody restarted jobrunner at" in note for note in found["value"]["notes"])


def test_a_stop_by_hand_during_the_watch_is_not_blamed_on_the_release(host, deploy):
    thread = at("starting", host, "systemctl stop jobrunner")
    code, found = deploy("deploy", "--watch", str(WATCH_S))
    thread.join()
    assert code == 1
    assert "somebody stopped jobrunner at" in found["error"]["message"]
    assert "v2.73.0 failed" not in found["error"]["message"]
    assert (host.code, host.version, host.serving) == ("v2.71.0", 1, True)
    check_claims(host, found["error"]["now"])


def test_a_killed_process_is_reported_as_killed(host, deploy):
    kill = "kill -9 $(systemctl show -p MainPID --value jobrunner)"
    thread = at("starting", host, kill)
    code, found = deploy("deploy", "--watch", str(WATCH_S))
    thread.join()
    assert code == 1
    assert "its process was killed with SIGKILL" in found["error"]["message"]
    assert (host.code, host.serving) == ("v2.71.0", True)
    check_claims(host, found["error"]["now"])


@pytest.mark.parametrize("before", ["up", "stopped"])
def test_a_service_started_by_hand_while_it_moves_runs_the_new_code(host, deploy, before):
    if before == "stopped":
        host.sh("systemctl stop jobrunner")
    host.sh(f"printf '{SLOW_GIT}' >{GIT}; chmod 755 {GIT}")
    try:
        thread = at("moving", host, "systemctl start jobrunner", after_s=0)
        code, found = deploy("deploy", "--watch", "2")
        thread.join()
    finally:
        host.sh(f"rm -f {GIT}")
    assert code == 0, found
    notes = "; ".join(found["value"]["notes"])
    assert "somebody started jobrunner while" in notes
    assert ("UTC (by root, or by a boot) after the release began" in notes) == (before == "stopped")
    check_claims(host, found["value"]["now"])
    assert (host.code, host.version, host.serving) == ("v2.73.0", 3, True)
    started_at = int(host.sh(f"stat -c %Y /proc/{host.main_pid}"))
    assert started_at >= int(host.sh(f"stat -c %Y {CODE}/.git/HEAD"))


@pytest.mark.parametrize("how", ["stopped", "hung"])
def test_a_journal_that_does_not_record_does_not_undo_a_good_release(host, deploy, how):
    act = {
        "stopped": "systemctl stop systemd-journald.socket systemd-journald-dev-log.socket"
        " systemd-journald-audit.socket systemd-journald",
        "hung": "systemctl kill -s STOP systemd-journald",
    }[how]
    back = "systemctl kill -s CONT systemd-journald; systemctl start systemd-journald.socket"
    back += " systemd-journald-dev-log.socket systemd-journald"
    # The checkout takes some seconds: the journal is gone before the service starts.
    host.sh(f"printf '{SLOW_GIT}' >{GIT}; chmod 755 {GIT}")
    try:
        thread = at("moving", host, act, after_s=0)
        code, found = deploy("deploy", "--watch", "3")
        thread.join()
        # systemd starts its sockets again with the service, and then journald records again.
        journald = host.sh("systemctl is-active systemd-journald || true")
    finally:
        host.sh(f"rm {GIT}; {back}")
    assert code == 0, found
    unjudged = "its log was not judged: journald does not record it" in found["value"]["notes"]
    assert unjudged or (how, journald) == ("stopped", "active")
    assert (host.code, host.serving) == ("v2.73.0", True)
    check_claims(host, found["value"]["now"])


def mask(host, unit):
    """Mask a unit; its own file has to make room for the link. It stays enabled."""
    file = f"/etc/systemd/system/{unit}.service"
    host.sh(f"mv {file} /root/{unit}.away; ln -s /dev/null {file}; systemctl daemon-reload")


def unmask(host, unit):
    file = f"/etc/systemd/system/{unit}.service"
    host.sh(f"mv -f /root/{unit}.away {file}; systemctl daemon-reload")


@pytest.mark.parametrize("unit", ["jobrunner", "jobrunner-network"])
@pytest.mark.parametrize(
    "task", ["deploy", "deploy --restart", "deploy.rollback", "service.restart"]
)
def test_no_task_stops_a_service_that_could_not_be_started_again(host, inv, deploy, task, unit):
    if task == "deploy.rollback":
        good(inv("-H", HOST, "deploy", "--watch", "1", "--yes"))
    if task == "deploy --restart":
        host.sandbox.publish("v2.71.0")
    before, records = (host.main_pid, host.code, host.version), host.records
    mask(host, unit)
    try:
        code, found = deploy(*task.split())
    finally:
        unmask(host, unit)
    assert code == 2, found
    assert f"{unit}" in found["error"]["message"]
    assert "is masked" in found["error"]["message"]
    assert "systemctl unmask" in found["error"]["hint"]
    assert (host.main_pid, host.code, host.version) == before
    assert host.records == records


@pytest.mark.parametrize("choice", ["finish", "back"])
def test_no_resumed_release_stops_a_service_that_could_not_be_started_again(
    host, inv, deploy, choice
):
    good(inv("-H", HOST, "deploy", "--watch", "1", "--yes"))
    record = f"{STATE}/releases/{host.records[-1]['id']}.json"
    reopen = f"""sed -i 's/"outcome": "deployed"/"outcome": ""/' {record}"""
    host.sh(f"runuser -u opensafely -- {reopen}")
    before = (host.main_pid, host.code, host.version)
    mask(host, "jobrunner")
    try:
        code, found = deploy("deploy", "--unfinished", choice)
    finally:
        unmask(host, "jobrunner")
    assert code == 2, found
    assert "jobrunner is masked" in found["error"]["message"]
    assert "systemctl unmask" in found["error"]["hint"]
    assert (host.main_pid, host.code, host.version) == before
    good(inv("-H", HOST, "deploy", "--unfinished", choice, "--watch", "1", "--yes"))
    assert host.code == ("v2.73.0" if choice == "finish" else "v2.71.0")
    assert host.serving


def start_too_often(host):
    """Let systemd refuse to start the unit for an hour."""
    host.sh(
        "mkdir -p /run/systemd/system/jobrunner.service.d; printf"
        " '[Unit]\\nStartLimitIntervalSec=1h\\nStartLimitBurst=3\\n'"
        " >/run/systemd/system/jobrunner.service.d/limit.conf; systemctl daemon-reload;"
        " for i in $(seq 20); do systemctl restart jobrunner || true;"
        " [ $(systemctl show -p Result --value jobrunner) != start-limit-hit ] || break;"
        " sleep 1; done"
    )
    assert host.sh("systemctl show -p Result --value jobrunner") == "start-limit-hit"


def test_a_service_that_was_started_too_often_can_be_started(host, deploy):
    start_too_often(host)
    code, found = deploy("service.start", "--watch", "2")
    assert (code, host.serving) == (0, True), found
    start_too_often(host)
    code, found = deploy("service.restart", "--watch", "2")
    assert (code, host.serving) == (0, True), found
    assert found["value"]["now"] == {"service": "up"}


def test_a_rollback_starts_a_service_that_was_started_too_often(host, deploy):
    host.sh(
        "mkdir -p /run/systemd/system/jobrunner.service.d; printf"
        " '[Unit]\\nStartLimitIntervalSec=1h\\nStartLimitBurst=3\\n'"
        " >/run/systemd/system/jobrunner.service.d/limit.conf; systemctl daemon-reload"
    )
    # The rollback's checkout waits until the person has finished.
    host.sh(f"printf '{WAITING_GIT}' >{GIT}; chmod 755 {GIT}")
    hand = "touch /run/begun; systemctl stop jobrunner; for i in 1 2 3; do"
    hand += " systemctl start jobrunner; systemctl stop jobrunner; done; touch /run/finished"
    thread = at("starting", host, hand)
    try:
        code, found = deploy("deploy", "--watch", str(WATCH_S))
        thread.join()
    finally:
        host.sh(f"rm -f {GIT} /run/begun /run/finished")
    assert code == 1, found
    assert (host.code, host.serving) == ("v2.71.0", True), found
    check_claims(host, found["error"]["now"])


def test_a_locked_database_is_unknown_and_not_empty(host, managed, inv, look):
    job = running_job(managed, HOST, look)
    text = LOCK_DATABASE.format(seconds=300).replace("\n", "; ").rstrip("; ")
    host.sh(f'systemd-run -q --unit=dblock python3 -c "{text}"; sleep 1')
    try:
        status = json.loads(inv("-H", HOST, "--json", "status").stdout)["hosts"][HOST]["value"]
        done = inv("-H", HOST, "--json", "deploy.pending")
        shown = inv("-H", HOST, "deploy.pending").stderr
    finally:
        host.sh("systemctl stop dblock")
    assert (status["running"], status["pending"], status["is_paused"]) == (None, None, None)
    locked = "unknown, the database is locked by python3 (process"
    assert any(f"jobs: {locked}" in each["text"] for each in status["concerns"])
    assert json.loads(done.stdout)["hosts"][HOST]["value"]["migrations"] == []
    assert f"cannot read the database: {locked.removeprefix('unknown, ')}" in shown
    assert job in host.jobs()


def test_a_docker_that_hangs_at_the_end_does_not_undo_a_good_release(host, deploy, managed):
    hang = "systemctl kill -s STOP docker"
    try:
        thread = at("starting", host, hang)
        code, found = deploy("deploy", "--watch", "3")
        thread.join()
    finally:
        host.sh("systemctl kill -s CONT docker")
    assert code == 0, found
    assert "the containers of jobs were not checked" in "; ".join(found["value"]["notes"])
    assert (host.code, host.serving) == ("v2.73.0", True)


def test_a_checkout_moved_by_hand_is_where_the_error_says(host, deploy):
    """Moved while the service stops: the message names the commit that is there."""
    git = f"runuser -u opensafely -- git -C {CODE} -c user.email=a@example.org -c user.name=a"
    move = f"{git} commit -q --allow-empty -m 'by hand'"
    # The stop takes some seconds: the move is made meanwhile.
    host.sh(
        "mkdir -p /run/systemd/system/jobrunner.service.d; printf '[Service]\\nExecStop=/bin/sleep"
        " 4\\n' >/run/systemd/system/jobrunner.service.d/slow.conf; systemctl daemon-reload"
    )
    thread = at("begun", host, move, after_s=0)
    code, found = deploy("deploy", "--watch", "2")
    thread.join()
    assert code == 1, found
    assert "moved by hand" in found["error"]["message"]
    by_hand = host.sh(f"git -C {CODE} rev-parse HEAD")
    assert f"the host is at {by_hand[:10]}, the service is up" in found["error"]["message"]
    check_claims(host, found["error"]["now"])


def test_no_part_of_a_snapshot_stays_on_a_full_disk(host, deploy):
    folder = f"{STATE}/snapshots"
    host.sh(
        f"rm -rf {folder}; mkdir -p {folder}; mount -t tmpfs -o size=20k,mode=777 tmpfs {folder}"
    )
    try:
        code, found = deploy("deploy", "--watch", "2")
        left = host.sh(f"ls -A {folder}")
    finally:
        host.sh(f"umount {folder}")
    assert code == 1, found
    assert found["error"]["hint"].startswith("free some space there")
    assert left == ""
    assert (host.code, host.version, host.serving) == ("v2.71.0", 1, True)
    check_claims(host, found["error"]["now"])
