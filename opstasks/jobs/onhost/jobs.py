"""Runs on the host, as the service account: jobs, as database, docker and log folders tell.

`main` gets a JSON request and prints a JSON answer. The request's keys:

- ``database``    job-runner's database
- ``states``, ``workspace``, ``since`` (seconds since the epoch), ``since_s`` (seconds ago)
- ``limit``, ``after`` (``[created, id]`` of the last row of the page before)
- ``page``        instead of one answer, many lines: the answer without jobs, then so many jobs
                  a line, at last ``{"end": true}``; ``limit`` 0 means all
- ``counts``      whether to count the jobs in each state
- ``docker``      whether to look at docker as well
- ``needles``     instead of all that: find the jobs of these ids, whole or in part
- ``logs``        the folder of job logs, to look for the folders of the jobs that were found
- ``volumes``     the folder of bind-mounted volumes

Every value reaches SQL as a parameter, and matching is by `instr`: no character is special.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from opstasks.onhost.engine import Engine, EngineError

CONTAINER, VOLUME = "os-job-", "os-volume-"
# What every version of the table has; later ones only add to it.
COLUMNS = (
    "id",
    "workspace",
    "action",
    "state",
    "status_code",
    "status_message",
    "created_at",
    "updated_at",
    "started_at",
    "completed_at",
    "status_code_updated_at",
)
# What only a close look needs.
MORE = (
    "job_request_id",
    "repo_url",
    "commit",
    "database_name",
    "run_command",
    "image_id",
    "requires_outputs_from",
    "wait_for_job_ids",
    "outputs",
    "unmatched_outputs",
    "cancelled",
)
IMAGE = "substr(run_command, 1, instr(run_command || ' ', ' ') - 1)"
SLUG = "coalesce(workspace, '') || '-' || coalesce(action, '') || '-' || id"
CREATED = "coalesce(created_at, 0)"
# How many matches of one needle are worth reading out to a person.
MATCHES = 50


# -- database --------------------------------------------------------------------------------


def read(connection: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """Version, flags, counts and jobs, from one consistent moment."""
    connection.execute("BEGIN")
    found: dict[str, Any] = {
        "user_version": connection.execute("PRAGMA user_version").fetchone()[0],
        "flags": flags(connection),
        "counts": counts(connection) if asked.get("counts", True) else {},
        "now": time.time(),
    }
    if "needles" in asked:
        found["matches"] = {n: matches(connection, n) for n in asked["needles"]}
        return found
    if "page" in asked:
        note_ids(connection, asked)
        found["jobs"] = []
        return found
    rows = jobs(connection, {**asked, "limit": asked["limit"] + 1})
    found["jobs"], found["more"] = rows[: asked["limit"]], len(rows) > asked["limit"]
    return found


def flags(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """The flags that are set, with the time of their setting in seconds."""
    try:
        rows = connection.execute("SELECT id, value, timestamp FROM flags").fetchall()
    except sqlite3.OperationalError:
        return {}  # a database that no flag was ever set in has no such table
    return {row[0]: [row[1], row[2]] for row in rows if row[1] is not None}


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """How many jobs are in each state."""
    return dict(connection.execute("SELECT state, count(*) FROM job GROUP BY state"))


def jobs(connection: sqlite3.Connection, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The newest jobs that are wanted (all without a word about states), newest first."""
    tail, values = wanted(asked)
    return select(connection, COLUMNS, tail, [*values, asked["limit"]])


def wanted(asked: dict[str, Any]) -> tuple[str, list[Any]]:
    """The jobs that are wanted, as SQL that ends with a limit, and its other values."""
    where, values = ["1 = 1"], []
    if asked.get("states"):
        where.append(f"state IN ({','.join('?' * len(asked['states']))})")
        values += asked["states"]
    if asked.get("workspace"):
        where.append("workspace = ?")
        values.append(asked["workspace"])
    since = asked.get("since") or (time.time() - asked["since_s"] if asked.get("since_s") else 0)
    if since:
        where.append(f"max({CREATED}, coalesce(completed_at, 0)) >= ?")
        values.append(since)
    if asked.get("after"):
        where.append(f"({CREATED}, id) < (?, ?)")
        values += asked["after"]
    return f"WHERE {' AND '.join(where)} ORDER BY {CREATED} DESC, id DESC LIMIT ?", values


def note_ids(connection: sqlite3.Connection, asked: dict[str, Any]) -> None:
    """Put the ids of the wanted jobs in order into a table of this connection's own.

    In memory: the disk may be full. Some 25 bytes each, where whole rows would take a thousand.
    """
    tail, values = wanted(asked)
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(
        f"CREATE TEMP TABLE noted AS SELECT id FROM main.job {tail}",  # noqa: S608
        [*values, asked["limit"] or -1],
    )


def noted(connection: sqlite3.Connection, size: int) -> Iterator[list[dict[str, Any]]]:
    """The jobs of `note_ids`, so many at a time.

    Between two pages no lock is held: however slowly they are read, job-runner can write.
    """
    (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM noted").fetchone()
    for start in range(0, last, size):
        some = "SELECT id FROM noted WHERE rowid > ? AND rowid <= ? ORDER BY rowid"
        ids = [row[0] for row in connection.execute(some, [start, start + size])]
        rows = {row["id"]: row for row in by_ids(connection, ids)}
        yield [rows[id] for id in ids if id in rows]


def matches(connection: sqlite3.Connection, needle: str) -> list[dict[str, Any]]:
    """The jobs that a needle may mean: that very id, or else those that hold it.

    Of many the active ones and then the newest: those that something can be done about.
    """
    whole = COLUMNS + MORE
    exact = select(connection, whole, "WHERE id = ?", [needle])
    if exact:
        # job-runner's own commands take any id that holds the one they are given.
        count = "SELECT count(*) FROM job WHERE instr(lower(id), lower(?)) > 0"
        exact[0]["alike"] = connection.execute(count, [needle]).fetchone()[0] - 1
        return exact
    active = "state IN ('pending', 'running') DESC"
    tail = f"WHERE instr({SLUG}, ?) > 0 ORDER BY {active}, {CREATED} DESC, id DESC LIMIT ?"
    rows = select(connection, COLUMNS, tail, [needle, MATCHES + 1])
    return select(connection, whole, "WHERE id = ?", [rows[0]["id"]]) if len(rows) == 1 else rows


def by_ids(connection: sqlite3.Connection, ids: list[str]) -> list[dict[str, Any]]:
    """The jobs of these ids."""
    marks = ",".join("?" * len(ids))
    return select(connection, COLUMNS, f"WHERE id IN ({marks})", ids)


def select(
    connection: sqlite3.Connection, wanted: Any, tail: str, values: list[Any]
) -> list[dict[str, Any]]:
    """Rows of the job table as dictionaries; columns that it lacks are left out."""
    have = {row[1] for row in connection.execute("PRAGMA table_info(job)")}
    columns = [name for name in wanted if name in have]
    if "run_command" in have:
        columns.append("image")
    shown = [IMAGE if name == "image" else f'"{name}"' for name in columns]
    rows = connection.execute(f"SELECT {', '.join(shown)} FROM job {tail}", values)  # noqa: S608
    return [dict(zip(columns, row)) for row in rows]  # noqa: B905 (both have the same length)


# -- docker ----------------------------------------------------------------------------------


def containers(engine: Any) -> list[dict[str, Any]]:
    """Every job's container, closely looked at."""
    listed = engine.get("containers", "json", all="1", filters={"name": [CONTAINER]})
    names = [item["Names"][0].lstrip("/") for item in listed if item.get("Names")]
    found = [look(engine, name) for name in names if name.startswith(CONTAINER)]
    return [item for item in found if item]


def look(engine: Any, name: str) -> dict[str, Any]:
    """One container: state, limits, mount. Of its environment not even the names."""
    try:
        raw = engine.get("containers", name, "json")
    except EngineError as error:
        if error.status == 404:
            return {}
        raise
    state, limits = raw["State"], raw["HostConfig"]
    mounts = [m for m in raw.get("Mounts", []) if m.get("Destination") == "/workspace"]
    period = limits.get("CpuPeriod") or 100000
    return {
        "name": name,
        "image": raw["Config"]["Image"],
        "image_id": raw["Image"],
        "state": state["Status"],
        "pid": state.get("Pid", 0),
        "exit_code": state.get("ExitCode"),
        "oom_killed": bool(state.get("OOMKilled")),
        "started": epoch(state.get("StartedAt", "")),
        "finished": epoch(state.get("FinishedAt", "")),
        "cpus": (limits.get("NanoCpus") or 0) / 1e9 or (limits.get("CpuQuota") or 0) / period,
        "memory": limits.get("Memory") or 0,
        "mount": [[m["Type"], m.get("Name") or m.get("Source", "")] for m in mounts[:1]],
    }


def epoch(text: str) -> float:
    """Docker's time in seconds since the epoch; 0 for one that has not come."""
    if not text or text.startswith("0001"):
        return 0.0
    whole = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
    return whole.replace(tzinfo=timezone.utc).timestamp()


def around(engine: Any, asked: dict[str, Any], ids: list[str]) -> dict[str, dict[str, Any]]:
    """What there is of jobs outside of the database: container, volume, log folder.

    Folders and logs are there without docker; once it did not answer, it is asked no more: each
    question may take a minute.
    """
    found: dict[str, dict[str, Any]] = {}
    silent: EngineError | None = None
    for job in ids:
        seen = found[job] = on_disk(asked, job)
        try:
            if silent:
                raise silent
            in_docker(engine, job, seen)
        except EngineError as error:
            seen["docker_error"] = str(error)
            silent = None if error.status else error
    return found


def on_disk(asked: dict[str, Any], job: str) -> dict[str, Any]:
    """What can be told without docker."""
    folder = Path(asked["volumes"]) / job
    return {
        "container": {},
        "volume": ["bind", str(folder)] if _is(folder) else [],
        "logs": log_files(asked["logs"], job),
        "docker_error": "",
    }


def in_docker(engine: Any, job: str, seen: dict[str, Any]) -> None:
    """Add what docker knows; raises EngineError."""
    name = VOLUME + job
    listed = engine.get("volumes", filters={"name": [name]}).get("Volumes") or []
    if any(item["Name"] == name for item in listed):
        seen["volume"] = ["volume", name]
    seen["container"] = look(engine, CONTAINER + job)


def _is(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:
        return False


def log_files(base: str, job: str) -> list[list[Any]]:
    """The files of a job's newest log folder: path, size, time of change."""
    try:
        months = sorted(os.listdir(base), reverse=True)  # noqa: PTH208
    except OSError:
        return []
    for month in months:
        folder = Path(base) / month / (CONTAINER + job)
        if folder.is_dir():
            files = sorted(path for path in folder.iterdir() if path.is_file())
            return [[str(f), f.stat().st_size, f.stat().st_mtime] for f in files]
    return []


# -- together --------------------------------------------------------------------------------


def answer(asked: dict[str, Any], connection: Any, engine: Any) -> dict[str, Any]:
    """What the request asks for. Docker first: a job that starts meanwhile is in both."""
    listed: list[dict[str, Any]] = []
    problem = ""
    if asked.get("docker") and "needles" not in asked:
        try:
            listed = containers(engine)
        except EngineError as error:
            problem = str(error)
    found = read(connection, asked)
    found.update(containers=listed, docker_error=problem)
    ids = [item["name"][len(CONTAINER) :] for item in listed]
    found["with_container"] = by_ids(connection, ids) if ids else []
    near = looked_at(found.get("matches", {})) if asked.get("docker") else []
    found["around"] = around(engine, asked, near)
    return found


def looked_at(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Of all matches those to look around: what a word means alone, and the first of the others."""
    sure = dict.fromkeys(rows[0]["id"] for rows in found.values() if len(rows) == 1)
    others = dict.fromkeys(row["id"] for rows in found.values() for row in rows)
    return [*sure, *[id for id in others if id not in sure][:MATCHES]]


def main(request: str) -> None:
    """Answer a request; an unreadable database is an answer, too."""
    asked = json.loads(request)
    if not Path(asked["database"]).exists():
        print(json.dumps({"error": "there is no database"}))
        return
    try:
        path = Path(asked["database"]).as_uri() + "?mode=ro"
        connection = sqlite3.connect(path, uri=True, timeout=10)
        print(json.dumps(answer(asked, connection, Engine())))
        if "page" in asked:
            connection.commit()
            for rows in noted(connection, asked["page"]):
                print(json.dumps(rows))
            print(json.dumps({"end": True}))
        connection.close()
    except sqlite3.Error as error:
        print(json.dumps({"error": str(error)}))
