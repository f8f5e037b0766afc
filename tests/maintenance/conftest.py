"""A host on the disk of the test: its site, its database, its flag and its docker."""

import getpass
import sqlite3
import time
from pathlib import Path

import pytest

from opstasks.maintenance.onhost import boot, containers, end_pause, pause_change
from opstasks.maintenance.onhost.site import Site
from tests.maintenance.onhost_help import set_flag


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
    monkeypatch.setattr(end_pause, "remove_boot_unit", lambda site: None)
    monkeypatch.setattr(boot, "remove_boot_unit", lambda site: None)


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
