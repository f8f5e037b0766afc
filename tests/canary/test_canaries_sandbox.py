"""Secrets are in every place of a host that has one; no task makes one appear anywhere else."""

import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.canary import canaries as planted
from tests.canary.canaries import HOST, Canaries, Samplers
from tests.canary.rows import CHANGING, KILLED, READING, ROWS
from tests.jobs import jobs_help as jobs
from tests.stories.conftest import Terminal

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1), pytest.mark.timeout(7200)]

ROOT = Path(__file__).resolve().parents[2]
# `make canary` runs every task with every combination of flags, and kills every program.
IS_FULL = os.environ.get("OPSTASKS_CANARY") == "full"
FLAGS = ("--json", "--debug", "--echo")
ALL_FLAGS = [chosen for count in range(4) for chosen in itertools.combinations(FLAGS, count)]
SOME_FLAGS = [FLAGS, ("--debug", "--echo")]
# Kills Python after a part of its work, as the system does when the memory is used up.
KILLER = """#!/bin/bash
/usr/bin/python3 "$@" <&0 &
sleep $((RANDOM % 4))e-1
kill -KILL $! $$
"""
KILLER_PATH = "/usr/local/bin/python3"


class Operator:
    """Types commands as `dev`, whose sudo asks for a password; keeps everything that is shown."""

    def __init__(self, folder, sandbox_dir, canaries):
        self.canaries, self.shown, self.folder = canaries, [], folder
        for name in ("state", "tmp"):
            (folder / name).mkdir()
        self.password_file = folder / "password"
        self.password_file.touch(0o600)
        self.password_file.write_text(canaries.words["sudo"] + "\n")
        text = (sandbox_dir / "hosts.yaml").read_text().replace("user: ops", "user: dev")
        self.inventory = folder / "hosts.yaml"
        self.inventory.write_text(text.replace("sudo: nopasswd", "sudo: ask"))
        self.env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OPSTASKS_HOSTS": str(self.inventory),
            "OPSTASKS_SUDO_PASSWORD_FILE": str(self.password_file),
            "XDG_STATE_HOME": str(folder / "state"),
            "TMPDIR": str(folder / "tmp"),
            "TERM": "xterm",
        }

    def run(self, words, flags):
        argv = ["inv", "-H", HOST, *flags, *words.split()]
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env=self.env,
            input=self.canaries.words["typed"] + "\n",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.shown.append((" ".join(argv), done.returncode, done.stdout + done.stderr))

    def use_terminal(self):
        """Type the password when asked, and open a shell."""
        terminal = Terminal({k: v for k, v in self.env.items() if "PASSWORD_FILE" not in k})
        terminal.type(f"inv -H {HOST} --debug --echo shell")
        terminal.answer(f"sudo password for {HOST}: ", self.canaries.words["sudo"])
        terminal.see("$ ")
        terminal.child.sendline("exit 7")
        shown, code = terminal.done()
        terminal.child.close(force=True)
        self.shown.append(("shell in a terminal", code, shown))


@pytest.fixture(scope="module")
def operator(managed, sandbox_dir, tmp_path_factory):
    """Runs all commands; has what was shown and what the samplers found."""
    canaries = Canaries()
    canaries.new("typed")
    planted.begin(managed)
    (job,) = managed.submit(HOST, "quick", "canary")
    jobs.ended(managed, HOST, job)
    planted.plant(managed, canaries)
    planted.plant_in_job(managed, canaries, job)
    person = Operator(tmp_path_factory.mktemp("canary"), sandbox_dir, canaries)
    samplers = Samplers(managed, canaries, person.folder / "stop")
    try:
        run_everything(person, managed, job)
    finally:
        managed.must(HOST, ["rm", "-f", KILLER_PATH])
        person.samples = samplers.end()
        managed.must(HOST, ["chpasswd", "-c", "SHA512"], stdin=f"dev:{managed.sudo_password()}\n")
    return person


def run_everything(person, sandbox, job):
    def run(name, flags):
        person.run(ROWS[name].format(job=job), flags)

    planted.leak_on_purpose(sandbox, person.canaries)

    with ThreadPoolExecutor(3) as pool:
        pairs = itertools.product(READING, ALL_FLAGS if IS_FULL else SOME_FLAGS)
        list(pool.map(lambda pair: run(*pair), pairs))
    planted.remove_remote(sandbox)
    for flags in ALL_FLAGS if IS_FULL else SOME_FLAGS[:1]:
        for name in CHANGING:
            run(name, flags)
    person.use_terminal()
    sandbox.must(HOST, ["bash", "-c", f"cat >{KILLER_PATH}; chmod 755 {KILLER_PATH}"], stdin=KILLER)
    for name, flags in itertools.product(ROWS if IS_FULL else KILLED, SOME_FLAGS):
        run(name, flags)
    sandbox.must(HOST, ["rm", KILLER_PATH])
    run("config.set", SOME_FLAGS[1])
    run("config.unset", SOME_FLAGS[1])


def test_every_task_has_a_row():
    from opstasks.namespace import namespace

    tasks = {name for name in namespace.task_names if not name.startswith("sandbox.")}
    assert set(ROWS) == tasks - {"completion"}  # it asks no host


def test_no_secret_is_shown(operator):
    leaks = [
        (argv, kinds)
        for argv, _, text in operator.shown
        if (kinds := operator.canaries.kinds_in(text))
    ]
    assert leaks == []


def test_the_commands_did_something(operator):
    """Otherwise the other tests prove nothing."""
    assert not [argv for argv, _, text in operator.shown if "did not accept the password" in text]
    good = {argv for argv, code, _ in operator.shown if code == 0}
    for name in ("config.set", "config.show", "status", "jobs.show", "deploy --yes", "manage"):
        assert any(f" {name}" in argv for argv in good), name
    killed = [text for _, _, text in operator.shown if "137" in text or "Killed" in text]
    assert killed


def test_no_secret_is_in_a_command_line_or_in_anothers_environment(operator, managed):
    owner = managed.must(HOST, ["id", "-u", "opensafely"]).strip()
    for rounds, findings in operator.samples:
        assert rounds > 50
        leaks = [
            (what, uid, kind, name)
            for what, uid, value, name in findings
            if (kind := operator.canaries.kind_of(value)) != "control"
            if (what, uid) != ("environ", owner)
        ]
        assert leaks == []
    pairs = [(what, value) for what, _, value, _ in operator.samples[0][1]]
    on_host = {(what, operator.canaries.kind_of(value)) for what, value in pairs}
    assert {("cmdline", "control"), ("environ", "control"), ("environ", "extra")} <= on_host


def test_no_secret_is_in_the_records_of_this_machine(operator):
    allowed = {operator.password_file}
    assert planted.in_folder(operator.folder, operator.canaries, allowed) == []
    assert list((operator.folder / "state").rglob("*")), "nothing was recorded"


def test_no_secret_is_in_the_journal_or_in_a_file_of_the_host(operator, managed):
    canaries = operator.canaries
    found = planted.on_the_host(managed, canaries)
    allowed = {(path, kind) for path, kinds in canaries.allowed.items() for kind in kinds}
    assert {item for item in found - allowed if item[1] != "control"} == set()
    looked_at = {(f"{planted.CONFIG}/02_secrets.env", "jobserver"), ("journal", "control")}
    assert looked_at | {(planted.CONTROL_FILE, "control")} <= found
