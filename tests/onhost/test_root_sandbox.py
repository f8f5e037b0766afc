"""Root's programs open what others left: links, pipes, devices, large files, deep folders."""

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from tests.onhost.planted import CANARY, ENDLESS, ENV_PATHS, HOME, KINDS, WORD, Memory, Victim
from tests.onhost.root_programs import ROWS

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOST = "sandbox-1"
# Seconds that a command may take, on a busy machine.
LIMIT_S = 60
MOST_KB = 150_000


@pytest.fixture(scope="module")
def run(inv, sandbox_dir):
    """Run `inv` on a host that also has a Level 3 sync."""
    inventory = sandbox_dir / "hosts-with-sync.yaml"
    hosts = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    hosts["hosts"][HOST]["level3_source"] = "/srv/level3"
    inventory.write_text(yaml.safe_dump(hosts))
    return lambda *words: inv("-H", HOST, *words, inventory=inventory, timeout_s=LIMIT_S)


@pytest.fixture(scope="module")
def victim(managed, run):
    assert run("manage", "--yes").returncode == 0
    found = Victim(managed)
    yield found
    found.leave()


@pytest.fixture(scope="module")
def container(managed):
    found = managed.find(HOST).container
    words = ["docker", "inspect", "--format", "{{.Id}}", found]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def done(victim, run, row):
    """The output of a row's command; it ends in time and without a defect."""
    began = time.monotonic()
    text = ""
    if row.sh:
        ended = victim.run(f"timeout {LIMIT_S} bash -c '{row.sh}'")
        text += ended.stdout + ended.stderr
        assert ended.returncode != 124, row
    if row.inv:
        ended = run(*row.inv)
        text += ended.stdout + ended.stderr
    assert time.monotonic() - began < LIMIT_S, row
    for word in (WORD, "Traceback", "MemoryError", "RecursionError", "root:$", "root:*"):
        assert word not in text, (row, text)
    return text


@pytest.mark.parametrize("kind", KINDS)
def test_roots_programs_ignore_what_others_planted(victim, run, container, kind):
    rows = [row for row in ROWS if not row.kinds or kind in row.kinds]
    before = victim.state()
    victim.plant(kind)
    try:
        with Memory(container) as memory, ThreadPoolExecutor(4) as pool:
            reading = [row for row in rows if row.reads_only]
            list(pool.map(lambda row: done(victim, run, row), reading))
            for row in rows:
                if not row.reads_only:
                    done(victim, run, row)
    finally:
        victim.restore()
    assert victim.state() == before
    assert victim.leaked() == ""
    assert memory.most_kb < MOST_KB, memory.what


@pytest.mark.parametrize("kind", ENDLESS)
def test_the_database_network_ends_in_time_whatever_its_settings_are(victim, kind):
    path = ENV_PATHS[0]
    victim.sh(f"set -- {path}; rm $1; {KINDS[kind]}; chown -h opensafely: {path}")
    try:
        began = time.monotonic()
        victim.run(f"timeout {LIMIT_S} /usr/local/sbin/jobrunner-database-network {HOME}/config")
        assert time.monotonic() - began < LIMIT_S - 10
    finally:
        victim.restore()


@pytest.mark.parametrize("kind", ["pipe", "device", "shadow", "folder"])
def test_env_files_of_the_service_account_do_not_stop_systemd(victim, kind):
    """It may restart its service, and systemd reads what the unit names as root."""
    path = ENV_PATHS[-1]
    victim.sh(f"set -- {path}; rm $1; {KINDS[kind]}; chown -h opensafely: {path}")
    try:
        words = "sudo -n /usr/bin/systemctl restart jobrunner"
        assert victim.run(f"timeout 60 runuser -u opensafely -- {words}").returncode == 1
        assert victim.run("timeout 10 systemctl daemon-reload").returncode == 0
        assert (
            "cannot read" in victim.sh("journalctl -u jobrunner-network -n 9") or kind == "device"
        )
    finally:
        victim.run(f"[ ! -p {path} ] || timeout 2 bash -c ': >>{path}'")  # else nothing goes on
        victim.restore()
        victim.sh("systemctl restart jobrunner")


def test_a_database_that_is_a_pipe_does_not_hold_up_the_boot(victim, run):
    assert run("pause", "--for", "2h", "--yes").returncode == 0
    victim.sh(f"cd {HOME}/jobrunner/workdir; systemctl stop jobrunner; rm -f db.sqlite-*")
    victim.sh(f"cd {HOME}/jobrunner/workdir; mv db.sqlite kept; mkfifo db.sqlite")
    victim.sh(f"chown opensafely: {HOME}/jobrunner/workdir/db.sqlite")
    try:
        booted = victim.run("timeout 100 python3 -I /var/lib/opstasks/scripts/boot/run.py")
        assert "did not end in time" in booted.stdout
    finally:
        victim.sh(f"cd {HOME}/jobrunner/workdir; rm db.sqlite; mv kept db.sqlite")
        run("unpause", "--yes")


def test_disabling_an_account_does_not_follow_its_links(victim, run):
    place = "/home/gone/.ssh"
    victim.sh(f"rm -rf {place}; ln -s {CANARY} {place}; chown -h gone: {place}")
    run("users.disable", "gone", "--yes")
    assert WORD in victim.sh(f"cat {CANARY}/authorized_keys")


def test_a_folder_that_another_account_could_replace_is_not_used_by_root(victim, run):
    victim.sh("chown opensafely: /var/lib/opstasks")
    try:
        for words in (["pause", "--for", "2h", "--yes"], ["--dry", "prepare-reboot"]):
            ended = run(*words)
            assert ended.returncode != 0
            assert re.search("only root may change", ended.stdout + ended.stderr), words
    finally:
        victim.sh("chown root: /var/lib/opstasks")
