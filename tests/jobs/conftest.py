"""Fixtures for the tests of jobs that need no host."""

import sqlite3

import invoke
import pytest
from invoke.exceptions import Exit

from opstasks.cli.app import App
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions
from opstasks.core.errors import OpsError
from opstasks.fleet.fleet import Fleet


@pytest.fixture
def job_table():
    """job-runner's table of jobs, empty, in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(
        'CREATE TABLE job (id TEXT, job_request_id TEXT, state TEXT, repo_url TEXT, "commit" TEXT,'
        " workspace TEXT, action TEXT, run_command TEXT, status_code TEXT, status_message TEXT,"
        " created_at INT, updated_at INT, started_at INT, completed_at INT,"
        " status_code_updated_at INT)"
    )
    return connection


@pytest.fixture
def host(fake_host):
    """One host."""
    return fake_host()


@pytest.fixture
def run_task(host, capsys, monkeypatch, tmp_path):
    """Run a task for the host; returns exit code, standard output and error.

    `typed` is the line, with a job at each of `places`.
    """
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def start(task, *, options=None, typed=(), places=(), **args):
        options = RunOptions(hosts=("tpp",), typed=typed, **(options or {}))
        app = App(options, lambda flag: list(places))
        app._fleet = Fleet([host], observer=app.console.observe)
        code = 0
        try:
            task.body(Context(invoke.Config(), app), **args)
        except Exit as end:
            code = end.code
        except OpsError as error:
            app.console.error(error)
            code = error.exit_code
        return code, *capsys.readouterr()

    return start
