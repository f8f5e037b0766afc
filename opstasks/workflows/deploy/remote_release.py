"""Runs on the host, as the service account: one step of a release.

``python3 - STEP SPEC`` where SPEC is the JSON of `opstasks.workflows.deploy.release.Spec`.
Prints one JSON object: ``{"ok": true, ...}`` or ``{"ok": false, "reason": ..., "detail": ...}``.

Every step may be repeated: it looks at what is already so. Progress is written to the release's
record first and printed last, so a client that is gone changes nothing about the outcome.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Spec = dict[str, Any]
SYSTEMCTL = "/usr/bin/systemctl"  # as sudoers names it
STARTED_LINE = "jobrunner.service started"
# A busy host may take longer to say so than it is watched for.
START_GRACE_S = 30
# The database, and what sqlite keeps beside it.
SIDE_FILES = ("", "-wal", "-shm", "-journal")
# Loading every job is the least that the old code must be able to do with a carried-over row.
ROWS_PROBE = """
from jobrunner.lib.database import ensure_valid_db, find_all
from jobrunner.models import Job
ensure_valid_db()
find_all(Job)
"""


class StepError(Exception):
    """A step could not be done; the detail holds the last lines that explain it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


# -- small things ----------------------------------------------------------------------------


def call(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says."""
    return subprocess.run(
        args,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **options,
    )


def must(reason: str, *args: str, **options: Any) -> str:
    """Run a command that must succeed; returns what it printed."""
    done = call(*args, **options)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise StepError(reason, "\n".join(said.splitlines()[-12:]))
    return done.stdout.strip()


def record_path(spec: Spec) -> Path:
    """Where this release's record lies."""
    return Path(spec["state_dir"], "releases", spec["id"] + ".json")


def read_record(spec: Spec) -> dict[str, Any]:
    """The record so far; empty for a release that has not begun."""
    try:
        found: dict[str, Any] = json.loads(record_path(spec).read_text())
    except FileNotFoundError:
        return {}
    return found


def records(spec: Spec) -> dict[str, dict[str, Any]]:
    """Every record by release; one that cannot be read is left out."""
    found = {}
    for path in Path(spec["state_dir"], "releases").glob("*.json"):
        with contextlib.suppress(ValueError):
            found[path.stem] = json.loads(path.read_text())
    return found


def write_record(spec: Spec, **changes: Any) -> dict[str, Any]:
    """Change the record, whole or not at all."""
    record = {**read_record(spec), **changes}
    path = record_path(spec)
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    try:
        with new.open("w") as file:
            json.dump(record, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return record


def snapshot_path(spec: Spec, suffix: str = ".sqlite") -> Path:
    """Where the database as it was before is kept."""
    return Path(spec["state_dir"], "snapshots", spec["id"] + suffix)


def head(path: str) -> str:
    """The commit that is checked out."""
    return must("cannot read the checkout", "git", "-C", path, "rev-parse", "HEAD")


def changed_files(path: str) -> str:
    """What differs from the commit, untracked files included."""
    return must("cannot read the checkout", "git", "-C", path, "status", "--porcelain")


def environment(spec: Spec) -> dict[str, str]:
    """What job-runner's commands run with."""
    script = 'set -a; . "$1/load-env" >/dev/null 2>&1; env -0'
    done = call("bash", "-c", script, "bash", spec["config_dir"])
    pairs = (item.partition("=") for item in done.stdout.split("\0"))
    env = {key: value for key, _, value in pairs if key}
    return {**env, "PYTHONPATH": f"{spec['code']}:{spec['lib']}"}


# -- the service -----------------------------------------------------------------------------


def unit_state(spec: Spec) -> dict[str, str]:
    """The unit's state as systemd tells it."""
    text = must(
        "cannot read the unit",
        "systemctl",
        "show",
        spec["unit"],
        "--property=ActiveState,SubState,MainPID,NRestarts,InvocationID",
    )
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def is_serving(state: dict[str, str]) -> bool:
    """Whether the service is up (a unit between two crashes is not)."""
    return state.get("ActiveState") == "active" and state.get("SubState") == "running"


def is_wanted(state: dict[str, str]) -> bool:
    """Whether the service is meant to be up; one between two crashes is."""
    return state.get("ActiveState") in ("active", "activating", "reloading")


def systemctl(verb: str, spec: Spec) -> None:
    """Start or stop the unit, as sudoers lets this account do without a password."""
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    must(f"cannot {verb} {spec['unit']}", *prefix, SYSTEMCTL, verb, spec["unit"], timeout=150)


def stop(spec: Spec) -> None:
    """Stop the unit, unless it is down already, and see that it is down."""
    if unit_state(spec).get("ActiveState") not in ("inactive", "failed"):
        systemctl("stop", spec)
    state = unit_state(spec)
    if state.get("ActiveState") not in ("inactive", "failed"):
        raise StepError(f"{spec['unit']} does not stop ({state.get('ActiveState')})")


def job_containers() -> list[str]:
    """Names of the job containers that are running."""
    shown = must(
        "docker does not answer",
        "docker",
        "ps",
        "--filter",
        "name=^os-job-",
        "--format",
        "{{.Names}}",
    )
    return sorted(shown.split())


def journal(spec: Spec, *options: str) -> list[str]:
    """Lines of the service's own log."""
    done = call("journalctl", "--unit", spec["unit"], "--no-pager", "--output=cat", *options)
    return done.stdout.splitlines()


def journal_cursor(spec: Spec) -> str:
    """A mark in the log; what comes after it is news."""
    lines = journal(spec, "--lines=0", "--show-cursor")
    found = [line for line in lines if line.startswith("-- cursor: ")]
    return found[-1].removeprefix("-- cursor: ") if found else ""


def exceptions(lines: Iterable[str]) -> set[str]:
    """The types of the exceptions whose tracebacks a log holds."""
    found, inside = set(), False
    for line in lines:
        if "Traceback (most recent call last)" in line:
            inside = True
        elif inside and line and not line[0].isspace():
            found.add(line.split(":")[0].split()[0])
            inside = False
    return found


def exceptions_now(spec: Spec) -> list[str]:
    """What the service has raised since its present start."""
    invocation = unit_state(spec).get("InvocationID", "")
    return sorted(exceptions(journal(spec, f"_SYSTEMD_INVOCATION_ID={invocation}", "--lines=1000")))


def start_and_watch(spec: Spec, known: Iterable[str]) -> dict[str, Any]:
    """Start the unit and see that it stays up, said so, and raised nothing but what is known."""
    cursor = journal_cursor(spec)
    systemctl("start", spec)
    first = unit_state(spec)
    deadline = time.monotonic() + spec["watch_s"]
    while True:
        state = unit_state(spec)
        same = all(state.get(key) == first.get(key) for key in ("MainPID", "NRestarts"))
        if not (is_serving(state) and same):
            raise StepError(
                f"{spec['unit']} did not stay up (now {state['ActiveState']}/{state['SubState']})",
                "\n".join(journal(spec, *after(cursor))[-10:]),
            )
        left = deadline - time.monotonic()
        if left <= 0:
            lines = journal(spec, *after(cursor))
            if has_started(lines) or left < -START_GRACE_S:
                return judge_log(spec, lines, set(known))
        time.sleep(0.5)


def has_started(lines: Iterable[str]) -> bool:
    """Whether the service said that it is up."""
    return any(STARTED_LINE in line for line in lines)


def after(cursor: str) -> list[str]:
    """The journalctl option for what came after a mark."""
    return [f"--after-cursor={cursor}"] if cursor else []


def judge_log(spec: Spec, lines: list[str], known: set[str]) -> dict[str, Any]:
    """Whether the log since the start is that of a healthy service.

    An exception that the release before raised as well (a job-server that is down) is not the
    new release's fault: it is told, not held against it.
    """
    if not has_started(lines):
        raise StepError(
            f"{spec['unit']} is up but did not log that it started", "\n".join(lines[-10:])
        )
    raised = exceptions(lines)
    if raised - known:
        names = ", ".join(sorted(raised - known))
        at = next(i for i, line in enumerate(lines) if "Traceback" in line)
        raise StepError(f"{spec['unit']} logged a traceback: {names}", "\n".join(lines[at:][-10:]))
    return {"as_before": sorted(raised)}


# -- the database ----------------------------------------------------------------------------


def open_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)


def copy_database(source: Path, target: Path) -> None:
    """A checked, complete copy, there as a whole or not at all."""
    target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    new = target.with_name(target.name + ".new")
    new.unlink(missing_ok=True)
    try:
        os.close(os.open(new, os.O_CREAT | os.O_WRONLY, 0o600))
        with (
            contextlib.closing(open_read_only(source)) as old,
            contextlib.closing(sqlite3.connect(new)) as copy,
        ):
            old.backup(copy)
            verdict = copy.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            raise StepError(f"the copy of the database is not sound: {verdict}")
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def version_and_schema(path: Path) -> tuple[int, list[tuple[str, str]]]:
    """What tells whether a migration touched the database."""
    with contextlib.closing(open_read_only(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        rows = connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY 1")
        return version, rows.fetchall()


def job_ids(path: Path) -> set[str]:
    """Every job that the database knows."""
    with contextlib.closing(open_read_only(path)) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM job")}


def carry_over(current: Path, restored: Path) -> None:
    """Bring rows that the new release wrote into the restored database, in its own columns."""
    with contextlib.closing(sqlite3.connect(f"file:{restored}", uri=True)) as connection:
        connection.execute("ATTACH DATABASE ? AS newer", (f"file:{current}?mode=ro",))
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in names.fetchall():
            shared = shared_columns(connection, table)
            if "id" in shared:
                columns = ", ".join(f'"{name}"' for name in shared)
                updates = ", ".join(f'"{name}" = excluded."{name}"' for name in shared)
                connection.execute(
                    f'INSERT INTO main."{table}" ({columns}) SELECT {columns}'  # noqa: S608
                    f' FROM newer."{table}" WHERE true ON CONFLICT(id) DO UPDATE SET {updates}'
                )
        connection.commit()


def shared_columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Columns that a table has in both databases."""
    both = [
        [row[1] for row in connection.execute(f'PRAGMA {schema}.table_info("{table}")')]
        for schema in ("main", "newer")
    ]
    return [name for name in both[0] if name in both[1]]


def old_code_reads(spec: Spec, folder: Path) -> bool:
    """Whether the code that is checked out can load every job of folder/db.sqlite."""
    env = {**environment(spec), "WORKDIR": str(folder)}
    done = call(sys.executable, "-B", "-c", ROWS_PROBE, env=env, cwd=spec["code"], timeout=120)
    return done.returncode == 0


def settle(database: Path) -> None:
    """Have sqlite finish what a killed writer left beside the database, and check it.

    Raises sqlite3.Error when that cannot be done, or when the database is damaged.
    """
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def restore_database(spec: Spec, snapshot: Path, aside: Path, *, carry: bool) -> str:
    """Put a database from before a migration back; says how.

    What is there now is kept aside. With `carry`, rows written since are carried over in the
    columns that the old database has, unless the old code could not read them.
    """
    database = Path(spec["database"])
    try:
        settle(database)
        if version_and_schema(database) == version_and_schema(snapshot):
            return "database untouched"
        if not aside.exists():
            copy_database(database, aside)
    except sqlite3.Error as error:
        return replace_damaged(database, snapshot, aside, str(error))
    how = "database restored from the snapshot"
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restore-") as name:
        restored = Path(name, "db.sqlite")
        copy_database(snapshot, restored)
        if carry:
            carry_over(aside, restored)
            how += ", newer rows carried over"
            if not old_code_reads(spec, Path(name)):
                if spec["kind"] == "rollback":
                    raise StepError(
                        "the older code cannot read the rows written since",
                        f"they are kept in {aside}",
                    )
                copy_database(snapshot, restored)
                how = f"database restored from the snapshot; newer rows only in {aside}"
        put_in_place(restored, database)
    return how


def replace_damaged(database: Path, snapshot: Path, aside: Path, why: str) -> str:
    """Move a database that sqlite cannot open aside, and put the snapshot in its place."""
    # The database first: one that is missing is restored by the next run, too.
    for suffix in SIDE_FILES:
        file = database.with_name(database.name + suffix)
        if file.exists():
            shutil.move(file, aside.with_name(aside.name + suffix))
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restore-") as name:
        restored = Path(name, "db.sqlite")
        copy_database(snapshot, restored)
        put_in_place(restored, database)
    return f"the database was damaged ({why}): restored from the snapshot, what was left is {aside}"


def put_in_place(restored: Path, database: Path) -> None:
    """Exchange a settled (or missing) database in one step."""
    if database.exists():
        shutil.copymode(database, restored)
    for suffix in SIDE_FILES[1:]:
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    restored.replace(database)


# -- the checkouts ---------------------------------------------------------------------------


def move(path: str, commit: str) -> None:
    """Check a commit out; finishes a checkout that was cut off half-way."""
    git_dir = Path(
        must("cannot read the checkout", "git", "-C", path, "rev-parse", "--absolute-git-dir")
    )
    # Only a git of ours can have left it: the host's lock is held, the tree was clean before.
    (git_dir / "index.lock").unlink(missing_ok=True)
    if head(path) == commit and not changed_files(path):
        return
    must(
        f"cannot check out {commit[:10]} in {path}",
        "git",
        "-C",
        path,
        "-c",
        "gc.auto=0",
        "checkout",
        "--quiet",
        "--force",
        "--detach",
        commit,
    )


# -- the steps -------------------------------------------------------------------------------


def begin(spec: Spec) -> dict[str, Any]:
    """Check that nothing moved since the plan, stop the service, snapshot the database."""
    record = read_record(spec)
    if not record:
        for other in records(spec).values():
            if not other.get("outcome"):
                raise StepError(f"release {other.get('id')} is unfinished: finish or undo it first")
        for name in ("code", "lib"):
            if head(spec[name]) != spec["from_" + name] or changed_files(spec[name]):
                raise StepError(f"{spec[name]} changed since the plan was shown")
        record = write_record(
            spec,
            **{key: spec[key] for key in spec["keep"]},
            started=time.time(),
            step="begun",
            outcome="",
            was_active=is_wanted(unit_state(spec)),
            known_exceptions=exceptions_now(spec),
            containers=job_containers(),
            from_version=version_and_schema(Path(spec["database"]))[0],
        )
    if record["step"] == "begun":
        stop(spec)
        settle(Path(spec["database"]))
        copy_database(Path(spec["database"]), snapshot_path(spec))
        write_record(spec, step="stopped", snapshot=str(snapshot_path(spec)))
    return {"was_active": record["was_active"]}


def switch(spec: Spec) -> dict[str, Any]:
    """Move dependencies and code, then migrate (or, going back, put the old database back)."""
    stop(spec)
    write_record(spec, step="moving")
    move(spec["lib"], spec["to_lib"])
    move(spec["code"], spec["to_code"])
    how = ""
    if spec["restore_from"]:
        how = restore_database(spec, Path(spec["restore_from"]), snapshot_path(spec), carry=True)
    else:
        must(
            "the migration failed",
            sys.executable,
            "-m",
            "jobrunner.cli.migrate",
            env=environment(spec),
            cwd=spec["code"],
            timeout=600,
        )
    version = version_and_schema(Path(spec["database"]))[0]
    write_record(spec, step="moved", to_version=version)
    return {"version": version, "how": how}


def serve(spec: Spec) -> dict[str, Any]:
    """Start the service if it was running before, and watch it."""
    record = write_record(spec, step="starting")
    return start_and_watch(spec, record.get("known_exceptions", [])) if record["was_active"] else {}


def finish(spec: Spec) -> dict[str, Any]:
    """See that no job was lost, then close the record and prune old snapshots."""
    lost = lost_jobs(spec)
    if lost:
        raise StepError(f"jobs were lost: {', '.join(lost)}")
    write_record(spec, step="done", outcome="deployed", finished=time.time())
    with contextlib.suppress(OSError):  # old snapshots are no reason to undo a good release
        return {"pruned": prune(spec)}
    return {}


def lost_jobs(spec: Spec) -> list[str]:
    """Jobs that are missing: rows gone, or a container gone while its row says running."""
    database = Path(spec["database"])
    missing = job_ids(snapshot_path(spec)) - job_ids(database)
    gone = set(read_record(spec)["containers"]) - set(job_containers())
    with contextlib.closing(open_read_only(database)) as connection:
        for name in sorted(gone):
            row = connection.execute(
                "SELECT state FROM job WHERE id = ?", (name.removeprefix("os-job-"),)
            ).fetchone()
            # A container that ended by itself is still there until the service has seen it.
            exists = call("docker", "inspect", "--format", "{{.State.Status}}", name)
            if row and row[0] == "running" and exists.returncode:
                missing.add(name)
    return sorted(missing)


def prune(spec: Spec) -> list[str]:
    """Keep the newest snapshots of releases in force, and as many of others; say what went.

    Counted apart: failed attempts must not take away what a rollback needs.
    """
    folder = Path(spec["state_dir"], "snapshots")
    known = records(spec)
    ages: dict[str, float] = {}
    for path in folder.glob("*.sqlite*"):
        release = path.name.split(".")[0]
        ages[release] = known.get(release, {}).get("started") or path.stat().st_mtime
    old = []
    for deployed in (True, False):
        group = [r for r in ages if (known.get(r, {}).get("outcome") == "deployed") == deployed]
        group.sort(key=lambda release: ages[release], reverse=True)
        old += [r for r in group[spec["keep_snapshots"] :] if not is_needed(spec, known, r)]
    for release in old:
        for path in folder.glob(release + ".*"):
            path.unlink()
    return old


def is_needed(spec: Spec, known: dict[str, dict[str, Any]], release: str) -> bool:
    """Whether a release is this one, or has not come to its end."""
    return release == spec["id"] or (release in known and not known[release].get("outcome"))


def roll_back(spec: Spec) -> dict[str, Any]:
    """Back to the code, dependencies and database of before; the service as it was.

    A record that cannot be written (a full disk) must not keep the service down: it is tried
    again at the end, and the release stays unfinished if that fails, too.
    """
    record = read_record(spec)
    if not record:
        return {"how": "nothing had begun"}
    reached = record["step"]
    with contextlib.suppress(OSError):
        write_record(spec, rolling_back=True, reason=spec["reason"] or record.get("reason", ""))
    how = "database untouched"
    if reached != "begun":
        stop(spec)
        move(spec["lib"], record["from_lib"])
        move(spec["code"], record["from_code"])
        how = restore_database(
            spec,
            snapshot_path(spec),
            snapshot_path(spec, ".failed.sqlite"),
            carry=reached in ("starting", "done"),
        )
    if record["was_active"] and not (reached == "begun" and is_serving(unit_state(spec))):
        start_and_watch(spec, record.get("known_exceptions", []))
    write_record(spec, outcome="rolled back", finished=time.time(), how=how)
    with contextlib.suppress(OSError):
        prune(spec)
    return {"how": how}


def restart(spec: Spec) -> dict[str, Any]:
    """Stop and start the service where it is, and watch it."""
    known = exceptions_now(spec)
    stop(spec)
    return start_and_watch(spec, known)


STEPS: dict[str, Callable[[Spec], dict[str, Any]]] = {
    "begin": begin,
    "switch": switch,
    "serve": serve,
    "finish": finish,
    "roll_back": roll_back,
    "restart": restart,
}


def main() -> None:
    """Do one step and print how it went."""
    os.umask(0o027)
    try:
        answer = {"ok": True, **STEPS[sys.argv[1]](json.loads(sys.argv[2]))}
    except StepError as error:
        answer = {"ok": False, "reason": error.reason, "detail": error.detail}
    except Exception as error:  # whatever it was, the client has to hear of it and go back
        answer = {"ok": False, "reason": f"{type(error).__name__}: {error}", "detail": ""}
    # The client may be gone: the record has the outcome.
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
