"""Runs on the host, as the service account: all facts for the plan of a deploy.

The request is a `opstasks.deploy.facts.DeployInspectRequest`, the answer a `DeployFacts`. It
changes only git's own store (a fetch), a temporary folder in the service account's home, and what
earlier imports found (`opstasks.deploy.onhost.kept_imports`).
"""

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from opstasks.deploy.onhost.checkout_facts import checkout_facts, is_missing, source_facts
from opstasks.deploy.onhost.code import code_facts
from opstasks.deploy.onhost.record import closed_folders
from opstasks.deploy.onhost.releases import newest
from opstasks.deploy.onhost.service import unit_state
from opstasks.onhost.commands import attempt
from opstasks.onhost.database_errors import explain, is_damaged
from opstasks.onhost.database_rights import not_writable
from opstasks.onhost.database_values import line, open_read_only
from opstasks.onhost.limits import MAX_COUNT
from opstasks.onhost.protocol import Answer, HostFailure, HostRefusal, Request
from opstasks.onhost.unit_control import refuse_unstartable
from opstasks.onhost.unit_state import SYSTEMCTL, service_state

# Seconds to wait for a locked database.
LOCKED_S = 10
# Of a moment in microseconds since the start of the machine.
MOST_DIGITS = 17
RUNNING = "SELECT id, workspace, action FROM job WHERE state = 'running'"


def main(request: Request) -> Answer:
    """All facts; refuses when there is no checkout of job-runner."""
    if is_missing(request["code_dir"]):
        raise HostRefusal(f"no job-runner checkout in {request['code_dir']}")
    checkouts = [
        {
            **checkout_facts(
                request[f"{name}_dir"], request[f"{name}_ref"], fetches=request["fetches"]
            ),
            "source": source_facts(request[f"{name}_dir"], request["home"]),
        }
        for name in ("code", "lib")
    ]
    new = code_facts(request, *checkouts)
    database = database_facts(request["database"])
    # The version of a locked or damaged database is not known: not all migrations are pending.
    unknown = database["exists"] and database["quick_check"] != "ok"
    return {
        "code": checkouts[0],
        "lib": checkouts[1],
        "database": database,
        "snapshot": health(request["snapshot"]) if request["snapshot"] else "ok",
        **host_facts(request),
        "releases": newest(request["state_dir"], request["limit"]),
        "import_error": new["import_error"],
        "missing_keys": new["missing_keys"],
        "is_confined": new["is_confined"],
        "not_inspected": new["not_inspected"],
        "migrations": [] if unknown else pending(new["migrations"], database["user_version"]),
        "code_version": max(new["migrations"], default=0),
    }


def pending(migrations: dict[int, str], version: int) -> list[dict[str, Any]]:
    """The migrations that a database of this version lacks, oldest first."""
    numbered = sorted(migrations.items())
    return [{"version": number, "sql": sql} for number, sql in numbered if number > version]


def host_facts(request: Request) -> dict[str, Any]:
    """Free disk, the service's unit, the right to control it, and whether docker answers."""
    unit: dict[str, str] = {}
    with contextlib.suppress(HostFailure):
        unit = unit_state(request)
    return {
        "disks": disks(request),
        "closed": closed_folders(request["state_dir"]),
        "service": service_state(unit),
        "service_for_s": since_change_s(unit),
        "unit_loaded": unit.get("LoadState") == "loaded",
        "unit_problem": unit_problem(request["unit"]),
        # systemd prints nothing for root.
        "unit_user": (unit["User"] or "root") if "User" in unit else "",
        "unit_drop_ins": unit.get("DropInPaths", "").split(),
        "may_control": may_control(request["unit"]),
        "docker_answers": attempt("docker", "ps", "--quiet", timeout_s=30).returncode == 0,
    }


def since_change_s(unit: dict[str, str]) -> float | None:
    """For how long the unit is in its present state; None if that is not known."""
    text = unit.get("StateChangeTimestampMonotonic", "")
    if not (text.isascii() and text.isdigit() and len(text) < MOST_DIGITS):
        return None
    return round(max(0.0, time.monotonic() - int(text) / 1e6), 1) if int(text) else None


def disks(request: Request) -> list[dict[str, Any]]:
    """The free space at every place where a deploy writes, as `opstasks.deploy.facts.DeployDisk`.

    Snapshots and unpacked releases are in the state's folder, a restored database is beside the
    present one.
    """
    places = {
        "state": request["state_dir"],
        "database": Path(request["database"]).parent,
        "code": request["code_dir"],
        "lib": request["lib_dir"],
    }
    return [disk(kind, Path(place)) for kind, place in places.items()]


def disk(kind: str, place: Path) -> dict[str, Any]:
    """The free space at a place; the state's folder may not exist yet."""
    while not place.exists():
        place = place.parent
    found, device = os.statvfs(place), place.stat().st_dev
    return {
        "kind": kind,
        "device": device,
        "free_bytes": found.f_bavail * found.f_frsize,
        # Some file systems have no fixed number of files.
        "free_files": found.f_favail if found.f_files else MAX_COUNT,
    }


def unit_problem(unit: str) -> str:
    """Why systemd would not start the unit after a deploy stopped it; "" if it would."""
    try:
        refuse_unstartable(unit)
    except HostRefusal as refusal:
        return refusal.reason
    except HostFailure:
        pass  # `unit_state` is unknown then
    return ""


def may_control(unit: str) -> bool:
    """Whether this account may start and stop the unit without a password."""
    words = ("sudo", "-n", "-l", SYSTEMCTL)
    return os.geteuid() == 0 or all(
        attempt(*words, verb, unit, timeout_s=30).returncode == 0 for verb in ("start", "stop")
    )


def database_facts(path: str) -> dict[str, Any]:
    """Size, health, version and running jobs of job-runner's database, read-only."""
    facts: dict[str, Any] = {
        "exists": True,
        "size_bytes": 0,
        "user_version": 0,
        "quick_check": "",
        "error": "",
        "is_damaged": False,
        "not_writable": not_writable(path),
        "running": [],
    }
    try:
        facts["size_bytes"] = Path(path).stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return {**facts, "exists": False}
    except OSError as error:  # a folder of another account: the file may well be there
        return {**facts, "error": error.strerror or str(error)}
    try:
        with contextlib.closing(open_read_only(Path(path), timeout_s=LOCKED_S)) as connection:
            facts["user_version"] = connection.execute("PRAGMA user_version").fetchone()[0]
            facts["quick_check"] = quick_check(connection)
            facts["running"] = [running_job(row) for row in connection.execute(RUNNING)]
    except sqlite3.Error as error:
        facts["is_damaged"] = is_damaged(error)
        facts["error"] = str(error) if facts["is_damaged"] else explain(error, Path(path))
    return facts


def running_job(row: tuple[Any, Any, Any]) -> dict[str, str]:
    """A row of the database; NULL becomes an empty text."""
    id_, workspace, action = map(line, row)
    return {"id": id_, "workspace": workspace, "action": action}


def quick_check(connection: sqlite3.Connection) -> str:
    """Say "ok" for a sound database, or the first thing that is wrong with it."""
    return str(connection.execute("PRAGMA quick_check").fetchone()[0])


def health(path: str) -> str:
    """Say "ok" for a sound database, or what is wrong with it."""
    try:
        with contextlib.closing(open_read_only(Path(path), timeout_s=LOCKED_S)) as connection:
            return quick_check(connection)
    except sqlite3.Error as error:
        return f"{path}: {explain(error, Path(path))}"
