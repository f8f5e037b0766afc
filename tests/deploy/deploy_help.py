"""Helper functions for the tests of deploy."""

import json
import sqlite3
import subprocess
import time

from opstasks.deploy.onhost.record import record_path
from opstasks.onhost.release_records import COMMITS

OLD = "CREATE TABLE job (id TEXT PRIMARY KEY, state TEXT, note TEXT)"
MIGRATED = "ALTER TABLE job ADD COLUMN extra TEXT; PRAGMA user_version = 2;"


# -- real hosts ------------------------------------------------------------------------------


def running_job(sandbox, host, look, action="long"):
    (job,) = sandbox.submit(host, action, "deploys")
    deadline = time.monotonic() + 60
    while look(host).jobs()[job]["status_code"] != "executing":
        assert time.monotonic() < deadline, look(host).jobs()[job]
        time.sleep(0.5)
    return job


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


# -- databases -------------------------------------------------------------------------------


def database(path, rows, version=1, extra=""):
    """A database of the old release with these jobs."""
    with sqlite3.connect(path) as connection:
        connection.execute(OLD)
        connection.executemany("INSERT INTO job VALUES (?, ?, ?)", rows)
        connection.execute(f"PRAGMA user_version = {version}")
        if extra:
            connection.executescript(extra)
    connection.close()
    return path


def rows(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT id, state, note FROM job ORDER BY id").fetchall()


def ids(path):
    return [row[0] for row in rows(path)]


def write_job(path, id):
    """Insert a job, as a running service does."""
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO job (id, state) VALUES (?, 'pending')", (id,))


# -- checkouts and records -------------------------------------------------------------------


def git(*args, cwd):
    done = subprocess.run(
        ["git", "-c", "user.email=a@example.org", "-c", "user.name=A", *args],
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def record(spec, id, **values):
    """Write the record of a release."""
    path = record_path({**spec, "id": id})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"id": id, **commits(spec), **values}))


def commits(spec):
    """What each record has of its release: where it moves code and dependencies."""
    return {key: spec[key] for key in COMMITS}
