"""Runs on the host, as the service account: any number of jobs, some at a time.

The request: ``database``, ``selection``, ``limit`` (0 for all), ``page_rows``. The first part is
what docker knows, each following part holds the next jobs: neither side ever holds all of them.
"""

import sqlite3
import time
from collections.abc import Iterator

from opstasks.jobs.onhost import job_containers, job_table
from opstasks.jobs.onhost.read import containers, with_jobs
from opstasks.onhost.protocol import Answer, Request, send_part


def main(request: Request) -> Answer:
    """Send the parts; a database that cannot be read is a refusal."""
    with job_table.reading(request["database"]) as connection:
        # Docker first: a job that starts in between is in both.
        listed, problem = containers(job_containers.engine())
        note_ids(connection, request["selection"], request["limit"])
        known = with_jobs(connection, listed, problem)
        send_part({"now": time.time(), "docker": known})
        for rows in pages(connection, request["page_rows"]):
            send_part({"jobs": [job_table.job_of(row) for row in rows]})
    return {}


def note_ids(connection: sqlite3.Connection, selection: job_table.Row, limit: int) -> None:
    """Put the ids of the selected jobs, in order, into a table of this connection's own.

    In memory: the disk may be full. Some 25 bytes each, where whole rows would take a thousand.
    """
    tail, values = job_table.wanted(selection)
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(
        f"CREATE TEMP TABLE noted AS SELECT id FROM main.job {tail}",  # noqa: S608
        [*values, limit or -1],
    )


def pages(connection: sqlite3.Connection, size: int) -> Iterator[list[job_table.Row]]:
    """The jobs of `note_ids`, so many at a time.

    Between two pages no lock is held: however slowly they are read, job-runner can write.
    """
    (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM noted").fetchone()
    for start in range(0, last, size):
        some = "SELECT id FROM noted WHERE rowid > ? AND rowid <= ? ORDER BY rowid"
        ids = [row[0] for row in connection.execute(some, [start, start + size])]
        rows = {row["id"]: row for row in job_table.by_ids(connection, ids)}
        yield [rows[id] for id in ids if id in rows]
