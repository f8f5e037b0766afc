"""A host on the disk of the test: its site, its database, its flag and its docker."""

import getpass
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opstasks.maintenance.onhost import (
    boot,
    claims,
    closing,
    containers,
    pause,
    pause_change,
    read,
    store,
)
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.units import HostUnit
from tests.maintenance.maintenance_help import HOST, Look
from tests.maintenance.onhost_help import set_flag

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clean(managed):
    yield Look(managed)
    Look(managed).reset()


@pytest.fixture
def host(clean):
    """A real host, without traces of earlier tests."""
    clean.reset()
    return clean


@pytest.fixture
def site(tmp_path):
    (tmp_path / "scheduled").mkdir()
    (tmp_path / "opstasks").mkdir()
    return Site(
        host="h",
        service_user=getpass.getuser(),
        home=str(tmp_path),
        state_dir=str(tmp_path / "opstasks"),
        lock_dir=str(tmp_path),
        lock_file=str(tmp_path / "lock"),
        code_dir=str(tmp_path / "code"),
        config_dir=str(tmp_path),
        database=str(tmp_path / "db.sqlite"),
        unit="jobrunner",
    )


class Systemd:
    """The units of a host: `states` by name; a timer of ours is active until it is stopped."""

    def __init__(self):
        self.states = {}
        self.has_boot_unit = True

    def state(self, name):
        return self.states.get(name, "active" if name.endswith(".timer") else "inactive")

    def states_of(self, names):
        return {name: self.state(name) for name in names}

    def read(self, name):
        return HostUnit(load="loaded", active=self.state(name), sub="", enabled="enabled")

    def is_down(self, name):
        return self.state(name) in ("inactive", "failed")

    def call(self, program, verb, name, **options):
        assert verb == "stop"
        self.states[name] = "inactive"

    def remove_boot_unit(self, site):
        self.has_boot_unit = False

    def kill(self, id):
        """Work is gone without a trace."""
        self.states |= {f"opstasks-{id}.timer": "inactive", f"opstasks-{id}.service": "inactive"}


@pytest.fixture(autouse=True)
def systemd(monkeypatch):
    """systemd, without systemd."""
    made = Systemd()
    for module in (store, read):
        monkeypatch.setattr(module, "unit_states", made.states_of)
    monkeypatch.setattr(closing, "call", made.call)
    monkeypatch.setattr(claims, "read_unit", made.read)
    for module in (closing, claims):
        monkeypatch.setattr(module, "is_down", made.is_down)
    for module in (closing, boot):
        monkeypatch.setattr(module, "remove_boot_unit", made.remove_boot_unit)
    monkeypatch.setattr(pause, "add_boot", lambda site: None)
    return made


@pytest.fixture
def database(site):
    connection = sqlite3.connect(site.database)
    connection.executescript(
        "CREATE TABLE job (id TEXT, workspace TEXT, action TEXT, state TEXT, status_code TEXT,"
        " started_at INT); CREATE TABLE flags (id TEXT, value TEXT, timestamp TIMESTAMP);"
    )
    yield connection
    connection.close()


@pytest.fixture
def flags_command(database, monkeypatch):
    """job-runner's own command for flags, without job-runner."""

    def run(site, module, *args, **options):
        assert module == "jobrunner.cli.flags"
        set_flag(database, args[-1].partition("=")[2] or None, time.time())
        return ""

    monkeypatch.setattr(pause_change, "job_runner", run)


@pytest.fixture
def docker(monkeypatch):
    """What docker lists: containers (all), volumes, running containers."""
    listed = {"all": [], "volumes": [], "running": []}

    def ask(site, *args):
        kind = "volumes" if args[0] == "volume" else "all" if "--all" in args else "running"
        return listed[kind]

    monkeypatch.setattr(containers, "ORPHAN_S", 0)
    monkeypatch.setattr(containers, "docker_list", ask)
    return listed


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A folder on the PATH for commands that a test writes: `commands("docker", script)`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(name, script):
        path = Path(folder, name)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


# -- real hosts ------------------------------------------------------------------------------


@pytest.fixture
def client(sandbox_dir, tmp_path):
    """A client that can be killed: `client("prepare-reboot", ...)`."""
    started = []

    def start(*argv, inventory=sandbox_dir / "hosts.yaml"):
        command = [str(Path(sys.executable).with_name("inv"))]
        command += ["-H", HOST, *argv]
        hosts = {"OPSTASKS_HOSTS": str(inventory)}
        env = {**os.environ, **hosts, "XDG_STATE_HOME": str(tmp_path)}
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def on_the_host(managed):
    """opstasks and what it needs, put on the host; run `inv` there without -H.

    `on_the_host("pause", user="opensafely")`.
    """
    site = Path(pytest.__file__).parents[1]
    container = managed.find(HOST).container
    names = ["invoke", "fabric", "paramiko", "msgspec", "yaml", "_yaml", "tabulate", "deprecated"]
    names += ["decorator.py", "cryptography", "cffi", "bcrypt", "nacl", "wrapt"]
    managed.must(HOST, ["mkdir", "-p", "/opt/ops/lib"])
    for name in names:
        if (site / name).exists():
            _copy(site / name, container, "/opt/ops/lib/")
    for name in ("opstasks", "tasks.py", "hosts.yaml"):
        _copy(ROOT / name, container, "/opt/ops/")
    # As in a checkout that belongs to somebody: everybody may read it.
    managed.must(HOST, ["chmod", "-R", "a+rX", "/opt/ops"])

    def run(*argv, user="root"):
        script = 'cd /opt/ops && PYTHONPATH=/opt/ops/lib exec python3 -m invoke "$@"'
        return managed.exec_(HOST, ["bash", "-c", script, "bash", *argv], user=user)

    yield run
    managed.must(HOST, ["rm", "-rf", "/opt/ops"])


def _copy(source, container, target):
    done = subprocess.run(["docker", "cp", str(source), f"{container}:{target}"], check=False)
    assert done.returncode == 0
