"""Runs on the host, as the service account: the jobs that match words, in detail.

The request: ``database``, ``words`` (ids, or parts of an id or of workspace-action), ``logs`` and
``volumes`` (the folders of job logs and of bind-mounted volumes).
"""

import re
import sqlite3
import time
from typing import Any

from opstasks.jobs.onhost import job_containers, job_table
from opstasks.jobs.onhost.job_surroundings import surroundings
from opstasks.onhost.protocol import Answer, Request

Row = job_table.Row
SLUG = "coalesce(workspace, '') || '-' || coalesce(action, '') || '-' || id"
# Docker's rule for a name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
# The most matches of one word that a person is shown.
MATCHES = 50


def main(request: Request) -> Answer:
    """Answer with the jobs by word; a database that cannot be read is a refusal."""
    with job_table.reading(request["database"]) as connection:
        return answer(connection, job_containers.engine(), request)


def answer(connection: sqlite3.Connection, docker: Any, request: Request) -> Answer:
    """The answer; all reads of the database see the same moment."""
    connection.execute("BEGIN")
    found = {word: matches(connection, word) for word in request["words"]}
    alike = {word: count_alike(connection, word) for word, rows in found.items() if _is(word, rows)}
    now = time.time()
    connection.commit()
    around = surroundings(
        docker, inspected(found), logs=request["logs"], volumes=request["volumes"]
    )
    return {
        "now": now,
        "matches": {
            word: [
                {
                    "job": job_table.job_of(row),
                    "row": row,
                    "alike": alike.get(row["id"], 0),
                    **around.get(row["id"], {}),
                }
                for row in rows
            ]
            for word, rows in found.items()
        },
    }


def matches(connection: sqlite3.Connection, word: str) -> list[Row]:
    """The job with exactly this id; if there is none, the jobs that contain the word.

    Of many jobs, active ones come first, then the newest.
    """
    whole = job_table.COLUMNS + job_table.MORE_COLUMNS
    exact = job_table.select(connection, whole, "WHERE id = ?", [word])
    if exact:
        return exact
    active = "state IN ('pending', 'running') DESC"
    order = f"{active}, {job_table.CREATED} DESC, id DESC"
    tail = f"WHERE instr({SLUG}, ?) > 0 ORDER BY {order} LIMIT ?"
    rows = job_table.select(connection, job_table.COLUMNS, tail, [word, MATCHES + 1])
    if len(rows) == 1:
        # An odd id is not found by its text.
        rows = job_table.select(connection, whole, "WHERE id = ?", [rows[0]["id"]]) or rows
    # Of an odd row, the client may get less than SQLite has searched.
    return [row for row in rows if word in shown(row)]


def shown(row: Row) -> str:
    """The text in which the client searches for a word."""
    job = job_table.job_of(row)
    return f"{job['workspace']}-{job['action']}-{job['id']}"


def inspected(found: dict[str, list[Row]]) -> list[str]:
    """Ids of the jobs to inspect: a word's only match, or the first of several.

    An id that is not a plain name has no container and no folder.
    """
    sure = dict.fromkeys(rows[0]["id"] for rows in found.values() if len(rows) == 1)
    others = dict.fromkeys(row["id"] for rows in found.values() for row in rows)
    ids = [*sure, *[id for id in others if id not in sure][:MATCHES]]
    return [id for id in ids if isinstance(id, str) and _NAME.fullmatch(id)]


def count_alike(connection: sqlite3.Connection, id: str) -> int:
    """How many other ids contain this one: job-runner's own commands match those too."""
    query = "SELECT count(*) FROM job WHERE instr(lower(id), lower(?)) > 0"
    count: int = connection.execute(query, [id]).fetchone()[0]
    return count - 1


def _is(word: str, rows: list[Row]) -> bool:
    """Whether a word is the whole id of the one job that it matches."""
    return [row["id"] for row in rows] == [word]
