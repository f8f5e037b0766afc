"""Fixtures for the tests of jobs that need no host."""

import sqlite3

import pytest


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
