"""Runs on the host, as the service account: one step of a release.

The request: ``step`` and ``spec`` (an `opstasks.deploy.release.ReleaseSpec`). The answer is an
`opstasks.deploy.apply.StepAnswer`.

Every step may be repeated: it first checks what is already done. It writes its progress to the
release's record before it prints the answer, so a lost client does not matter.
"""

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from opstasks.deploy.onhost.database import (
    bring_older,
    renew_snapshot,
    restore_database,
    settle,
)
from opstasks.deploy.onhost.database_read import version_and_schema
from opstasks.deploy.onhost.jobs import check_jobs, job_containers, running_count
from opstasks.deploy.onhost.kept_edits import kept_texts
from opstasks.deploy.onhost.move import move_all, refuse_changed
from opstasks.deploy.onhost.record import (
    ReleaseSpec,
    begun_record,
    has_begun,
    read_record,
    record_path,
    refuse_closed_folders,
    snapshot_path,
    write_record,
)
from opstasks.deploy.onhost.refusals import refuse_lost, refuse_stale, refuse_unwanted
from opstasks.deploy.onhost.seen import seen
from opstasks.deploy.onhost.service import (
    Watched,
    exceptions_now,
    fallen,
    settled_state,
    start_and_watch,
    started_meanwhile,
    stop,
    unit_state,
)
from opstasks.deploy.onhost.snapshots import prune
from opstasks.onhost.commands import required
from opstasks.onhost.database_errors import explain
from opstasks.onhost.disk_errors import cause_of, explained
from opstasks.onhost.environment import of_release
from opstasks.onhost.folder_rights import CAUSES, CLOSED, closed
from opstasks.onhost.protocol import Answer, HostFailure, HostRefusal, Request, error_text
from opstasks.onhost.release_records import Record, refuse_unfinished
from opstasks.onhost.unit_control import refuse_unstartable
from opstasks.onhost.unit_state import is_serving, is_wanted, started

MIGRATION_TIMEOUT_S = 600


def main(request: Request) -> Answer:
    """Do one step."""
    os.umask(0o027)
    step, spec = request["step"], request["spec"]
    with naming_kept(spec):
        if step != "look":
            refuse_unwanted(step, spec)
        return STEPS[step](spec)


@contextlib.contextmanager
def naming_kept(spec: ReleaseSpec) -> Iterator[None]:
    """Let every error name the edits by hand that the release has kept, in this step or before."""
    try:
        yield
    except Exception as error:
        kept = kept_texts(spec)
        if isinstance(error, HostFailure | HostRefusal):
            error.detail = "\n".join(filter(None, [*kept, error.detail]))
            raise
        if not kept:
            raise
        raise HostFailure(error_text(error), "\n".join(kept)) from error


def step_answer(version: int = 0, how: str = "", **values: Any) -> Answer:
    """The answer of a step; `values` are other fields of `opstasks.deploy.apply.StepAnswer`."""
    return {"version": version, "how": how, **values}


def ended_answer(spec: ReleaseSpec, **values: Any) -> Answer:
    """The answer of a last step: what is on the host now, what was kept, how many jobs run."""
    values |= {"now": seen(spec), "kept": kept_texts(spec)}
    return step_answer(**values, running_jobs=running_count(spec))


def begin(spec: ReleaseSpec) -> Answer:
    """Check that nothing moved since the plan, stop the service, snapshot the database."""
    record = begun_record(spec) if read_record(spec) else {}
    is_unmoved = record.get("step", "begun") in ("begun", "stopped")
    if is_unmoved:
        # Otherwise the service would be stopped for a release that cannot go on.
        refuse_closed_folders(spec["state_dir"])
    record = record or begin_record(spec)
    serves = will_serve(spec, record)
    # When a release is resumed, the service may have run, and written, since it was interrupted.
    if is_unmoved:
        stop(spec)
        settle(Path(spec["database"]))
        renew_snapshot(spec, snapshot_path(spec))
        write_record(spec, step="stopped", snapshot=str(snapshot_path(spec)))
    return step_answer(**serves)


def will_serve(spec: ReleaseSpec, record: Record) -> Answer:
    """Whether the service will be started, as fields of an answer; call it before a stop.

    One that was started meanwhile will be: the record says so from now on.
    """
    note = started_meanwhile(spec, record)
    if note:
        write_record(spec, was_active=True)
    return {"serves": record["was_active"] or bool(note), "notes": [note] if note else []}


def begin_record(spec: ReleaseSpec) -> Record:
    """The record of a new release. Raises HostRefusal when the plan no longer holds."""
    refuse_unfinished(spec["state_dir"])
    try:
        refuse_changed(spec, wait_s=0)
    except HostFailure as found:
        reason = f"{found.reason}, after the plan was shown"
        raise HostRefusal(reason, found.detail) from found
    was_active = is_wanted(state := settled_state(spec))
    if state.get("ActiveState") == "deactivating":
        raise HostRefusal(f"{spec['unit']} is being stopped or restarted: wait until that ends")
    if was_active:
        refuse_unstartable(spec["unit"])
    try:
        containers = job_containers()
        version = version_and_schema(Path(spec["database"]))[0]
    except HostFailure as error:
        raise HostRefusal(error.reason, error.detail) from error
    except sqlite3.Error as error:
        why = explain(error, Path(spec["database"]))
        raise HostRefusal(f"cannot read the database: {why}") from error
    return write_record(
        spec,
        step="begun",
        outcome="",
        was_active=was_active,
        known_exceptions=exceptions_now(spec),
        containers=containers,
        from_version=version,
    )


def switch(spec: ReleaseSpec) -> Answer:
    """Move dependencies and code, then migrate (or, for a rollback, restore the database)."""
    record = begun_record(spec)
    serves = will_serve(spec, record)
    stop(spec)
    if record["step"] == "stopped":
        refuse_changed(spec)  # again: stopping the service can take minutes
    write_record(spec, step="moving")
    move_all(spec, record)
    how = ""
    if spec["restore_from"]:
        how = bring_older(spec, Path(spec["restore_from"]), snapshot_path(spec))
    else:
        migrate(spec)
    version = version_and_schema(Path(spec["database"]))[0]
    write_record(spec, step="moved", to_version=version)
    return step_answer(version, how, **serves)


def migrate(spec: ReleaseSpec) -> None:
    """Let the new code migrate the database. Raises HostFailure."""
    required(
        "the migration failed",
        sys.executable,
        "-m",
        "jobrunner.cli.migrate",
        env=of_release(spec),
        cwd=spec["code"],
        timeout=MIGRATION_TIMEOUT_S,
    )


def serve(spec: ReleaseSpec) -> Answer:
    """Start the service if it was running before, and watch it."""
    record = write_record(spec, step="starting")
    found = will_serve(spec, record)
    if not found["serves"]:
        return step_answer(**found)
    watched = start_and_watch(spec, record["known_exceptions"])
    return step_answer(as_before=watched.as_before, notes=[*found["notes"], *watched.notes])


def finish(spec: ReleaseSpec) -> Answer:
    """Check that no job was lost and the service is up, then close the record; prune snapshots.

    What says nothing about the release does not undo it: docker that does not answer, a locked
    database, a disk that is full for the record.
    """
    unknown = check_jobs(spec)
    was_active, state = begun_record(spec)["was_active"], settled_state(spec)
    if (was_active or is_wanted(state)) and not is_serving(state):
        raise HostFailure(fallen(spec["unit"], state))
    unclosed = close(spec)
    with contextlib.suppress(OSError):
        prune(spec)
    # It has the new code, but nobody watched it.
    by_hand = "" if was_active or not is_wanted(state) else started(spec["unit"], state)
    notes = [unknown, f"{by_hand} at the end; it was not watched" if by_hand else ""]
    return ended_answer(spec, notes=list(filter(None, notes)), **unclosed)


def close(spec: ReleaseSpec) -> Answer:
    """Write that a release is in force; if that is not possible, why, as fields of an answer."""
    try:
        write_record(spec, step="done", outcome="deployed", finished=time.time())
    except OSError as error:
        problem = f"its record cannot be written: {explained(error)}"
        return {"problem": problem, "cause": cause_of(error) or closed_cause(spec)}
    return {}


def closed_cause(spec: ReleaseSpec) -> str:
    """Why no record can be written, as a word of `opstasks.onhost.folder_rights`; "" if unknown."""
    found = None
    with contextlib.suppress(OSError):
        found = closed(str(record_path(spec).parent))
    return CAUSES.get(found.why, CLOSED) if found else ""


def roll_back(spec: ReleaseSpec) -> Answer:
    """Restore code, dependencies and database, and start the service if it was running.

    A record that cannot be written (a full disk) must not keep the service down: we try again at
    the end. If that also fails, the release stays unfinished.
    """
    if not has_begun(spec):
        refuse_lost(spec)
        return ended_answer(spec, how="nothing had been changed")
    record = begun_record(spec)
    reached, watched = record["step"], Watched([], [])
    note = started_meanwhile(spec, record)
    was_active, notes = record["was_active"] or bool(note), []
    # A person goes on with what has failed: its own reason stays.
    reason = record.get("reason") or spec["reason"]
    with contextlib.suppress(OSError):
        write_record(spec, rolling_back=True, reason=reason, was_active=was_active)
    how = "database untouched"
    if reached != "begun":
        stop(spec)
        # Nothing was moved before that step: what people did there since then stays as it is.
        if reached != "stopped":
            move_all(spec, record, back=True)
        how = restore_database(spec, snapshot_path(spec), snapshot_path(spec, ".failed.sqlite"))
    if was_active and not (reached == "begun" and is_serving(unit_state(spec))):
        watched = start_and_watch(spec, record["known_exceptions"])
        notes = [note] if note else []
    write_record(spec, outcome="rolled back", finished=time.time(), how=how, reason=reason)
    with contextlib.suppress(OSError):
        prune(spec)
    return ended_answer(spec, how=how, as_before=watched.as_before, notes=[*notes, *watched.notes])


def restart(spec: ReleaseSpec) -> Answer:
    """Stop and start the service where it is, and watch it.

    Raises HostRefusal when that is not what the plan showed, or when the service would not start.
    """
    refuse_unstartable(spec["unit"])
    refuse_stale(spec)
    known = exceptions_now(spec)
    stop(spec)
    watched = start_and_watch(spec, known)
    return ended_answer(spec, as_before=watched.as_before, notes=watched.notes)


def look(spec: ReleaseSpec) -> Answer:
    """Change nothing: read what is on the host now, and what was kept."""
    has_snapshot = snapshot_path(spec).exists()
    return step_answer(now=seen(spec), kept=kept_texts(spec), has_snapshot=has_snapshot)


STEPS: dict[str, Callable[[ReleaseSpec], Answer]] = {
    "begin": begin,
    "switch": switch,
    "serve": serve,
    "finish": finish,
    "roll_back": roll_back,
    "restart": restart,
    "look": look,
}
