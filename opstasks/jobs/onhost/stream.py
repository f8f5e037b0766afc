"""Runs on the host, as the service account: any number of jobs, page by page.

The request: ``database``, ``selection``, ``limit`` (0 for all), ``page_rows``, ``volumes`` (the
folder of bind-mounted volumes). The first part has
the containers, each following part the next jobs: neither side has all jobs in memory.
"""

import sqlite3
import time
from collections.abc import Iterator

from opstasks.jobs.onhost import job_containers, job_table
from opstasks.jobs.onhost.read import containers, with_jobs
from opstasks.onhost.protocol import Answer, Request, send_part


def main(request: Request) -> Answer:
    """Send the parts; refuse when the database cannot be read."""
    with job_table.reading(request["database"]) as connection:
        # Docker comes first, so that a job that starts meanwhile is in both.
        found = containers(job_containers.engine(), request["volumes"])
        note_ids(connection, request["selection"], request["limit"])
        known = with_jobs(connection, found)
        send_part({"now": time.time(), "docker": known})
        for rows in pages(connection, request["page_rows"]):
            send_part({"jobs": [job_table.job_of(row) for row in rows]})
    return {}


def note_ids(connection: sqlite3.Connection, selection: job_table.Row, limit: int) -> None:
    """Put the ids of the selected jobs, in order, into a temporary table of this connection.

    It is in memory, as the disk may be full: about 25 bytes per id; a whole row takes about 1000.
    """
    job_table.can_order(connection)
    tail, values = job_table.wanted(selection)
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(
        f"CREATE TEMP TABLE noted AS SELECT id FROM main.job {tail}",  # noqa: S608
        [*values, limit or -1],
    )


def pages(connection: sqlite3.Connection, size: int) -> Iterator[list[job_table.Row]]:
    """The jobs of `note_ids`, in pages of `size` jobs.

    There is no lock between two pages: job-runner can write while a slow client reads.
    """
    (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM noted").fetchone()
    # SQLite compares the ids: an odd one is not the same any more once it is text here.
    tail = (
        "JOIN noted ON noted.id = job.id WHERE noted.rowid > ? AND noted.rowid <= ?"
        " ORDER BY noted.rowid"
    )
    for start in range(0, last, size):
        yield job_table.select(connection, job_table.COLUMNS, tail, [start, start + size])
