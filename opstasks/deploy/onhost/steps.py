"""Runs on the host, as the service account: one step of a release.

Asked with ``{"step": ..., "spec": ...}``, the JSON of `opstasks.deploy.release.Spec`;
prints one JSON object: ``{"ok": true, ...}`` or ``{"ok": false, "reason": ..., "detail": ...}``.

Every step may be repeated: it looks at what is already so. Progress is written to the release's
record first and printed last, so a client that is gone changes nothing about the outcome.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opstasks.deploy.onhost.database import (
    bring_older,
    job_ids,
    open_read_only,
    renew_snapshot,
    restore_database,
    settle,
    version_and_schema,
)
from opstasks.deploy.onhost.record import (
    Spec,
    changed_files,
    head,
    read_record,
    records,
    snapshot_path,
    write_record,
)
from opstasks.deploy.onhost.service import (
    exceptions_now,
    is_serving,
    is_wanted,
    job_containers,
    start_and_watch,
    stop,
    unit_state,
)
from opstasks.onhost.commands import StepError, call, must
from opstasks.onhost.environment import of_release


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


def move_back(path: str, commit: str, left: str) -> None:
    """Check a commit out again; takes away what a checkout of `left`, cut off, had brought."""
    move(path, commit)
    # A file that stays does no harm until the next deploy, which names it: the service comes first.
    with contextlib.suppress(StepError, OSError):
        for name in brought(path, commit, left):
            Path(path, name).unlink()
            remove_empty(Path(path), Path(name).parent)


def brought(path: str, commit: str, left: str) -> list[str]:
    """Files that only the other commit has and git now finds untracked: the tree was clean before.

    What git ignores may have been there before, and is left alone.
    """
    added = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=A")
    untracked = ("ls-files", "-z", "--others", "--exclude-standard")
    only_there, unknown = (
        set(must("cannot read the checkout", "git", "-C", path, *words).split("\0"))
        for words in ((*added, commit, left), untracked)
    )
    return sorted((only_there & unknown) - {""})


def remove_empty(top: Path, folder: Path) -> None:
    """Remove a folder and those above it, up to the first that holds something."""
    with contextlib.suppress(OSError):
        for inner in (folder, *folder.parents)[:-1]:
            (top / inner).rmdir()


def still_wanted(step: str, spec: Spec) -> None:
    """Raise StepError, refused, when this is no longer what the client looked at.

    It looked before it had the lock: someone else may have been there in between.
    """
    record = read_record(spec)
    if record.get("outcome"):
        raise StepError(f"release {spec['id']} is {record['outcome']} already", refused=True)
    if record.get("rolling_back") and step != "roll_back":
        raise StepError(f"release {spec['id']} is on its way back", refused=True)
    # The first step of a release that goes on, either way; nothing has moved at the very first.
    if step in ("begin", "roll_back") and record.get("step", "begun") != "begun":
        for name in ("code", "lib"):
            now = head(spec[name])
            if now not in (record["from_" + name], record["to_" + name]):
                raise StepError(
                    f"{spec[name]} was moved by hand to {now[:10]}, which is neither end of"
                    f" {record['from_name']} -> {record['to_name']}: check one of these out",
                    refused=True,
                )


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
    # One that goes on after a pause may find that the service ran, and wrote, in between.
    if record["step"] in ("begun", "stopped"):
        stop(spec)
        settle(Path(spec["database"]))
        renew_snapshot(spec, snapshot_path(spec))
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
        how = bring_older(spec, Path(spec["restore_from"]), snapshot_path(spec))
    else:
        must(
            "the migration failed",
            sys.executable,
            "-m",
            "jobrunner.cli.migrate",
            env=of_release(spec),
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
        move_back(spec["lib"], record["from_lib"], record["to_lib"])
        move_back(spec["code"], record["from_code"], record["to_code"])
        how = restore_database(spec, snapshot_path(spec), snapshot_path(spec, ".failed.sqlite"))
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


def main(request: str) -> None:
    """Do one step and print how it went."""
    os.umask(0o027)
    try:
        asked = json.loads(request)
        still_wanted(asked["step"], asked["spec"])
        answer = {"ok": True, **STEPS[asked["step"]](asked["spec"])}
    except StepError as error:
        answer = {
            "ok": False,
            "reason": error.reason,
            "detail": error.detail,
            "refused": error.refused,
        }
    except Exception as error:  # whatever it was, the client has to hear of it and go back
        answer = {"ok": False, "reason": f"{type(error).__name__}: {error}", "detail": ""}
    # The client may be gone: the record has the outcome.
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer), flush=True)
