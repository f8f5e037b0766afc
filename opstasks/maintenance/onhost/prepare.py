"""Runs on the host: the preparation itself: pause, drain, stop, snapshot, requeue, verify."""

import contextlib
import signal
import sqlite3
import time
from pathlib import Path

from opstasks.maintenance.onhost.account import Site, job_runner
from opstasks.maintenance.onhost.containers import docker_names, of_jobs, stray_problem, strays
from opstasks.maintenance.onhost.database import job_ids, running_jobs, snapshot, waiting_jobs
from opstasks.maintenance.onhost.install import arm_boot
from opstasks.maintenance.onhost.item import (
    PREPARE,
    Record,
    boot_id,
    read_record,
    records,
    say,
    write_record,
)
from opstasks.maintenance.onhost.lock import POLL_S
from opstasks.maintenance.onhost.pause import clear_pause, flag, pause_note, set_pause
from opstasks.maintenance.onhost.problems import problems
from opstasks.maintenance.onhost.units import is_down, is_up, stop_unit, systemctl
from opstasks.onhost.commands import StepError
from opstasks.onhost.mounts import plain

# A host that slept through its time must not be taken down at a moment nobody chose.
LATE_S = 1800
REQUEUE_TIMEOUT_S = 3600
SETTLE_S = 3.0


class CancelledError(Exception):
    """Someone stopped the unit while that was still possible."""


def prepare(site: Site, record: Record, script: str) -> tuple[str, str]:
    """Pause, let jobs end if asked, stop, snapshot, requeue, verify; or back to serving."""
    id = record["id"]
    say(site, id, "check again that it can be done", "waiting")
    late = time.time() - record["due"]
    if record["timed"] and late > LATE_S:
        raise StepError(f"{late / 60:.0f} minutes late: did the host sleep?", refused=True)
    found = problems(site)
    if found:
        raise StepError("; ".join(found), refused=True)
    write_record(site, id, mounts=mounts(), was_active=was_active(site))
    try:
        hold_new_work(site, record, script)
        drain(site, record)
        return requeue(site, record)
    except Exception as error:  # a full disk, for one: whatever it is, back to serving
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        left = undo(site, id, error)
        with contextlib.suppress(OSError):
            write_record(site, id, left=left)
        raise


def was_active(site: Site) -> bool:
    """Whether the service was up, before this preparation or the one that it repeats."""
    if not is_down(site["unit"]):
        return True
    ready = [r for r in records(site) if r.get("kind") == PREPARE and r.get("outcome") == "ready"]
    return bool(ready and ready[0].get("boot_id") == boot_id() and ready[0].get("was_active"))


def hold_new_work(site: Site, record: Record, script: str) -> None:
    """Nothing new begins; after the boot it does, by itself, unless someone else paused before."""
    id = record["id"]
    since = flag(site)
    note = pause_note(site, since)
    # Whosever the pause is: the boot notes which preparation was its own.
    arm_boot(site, script)
    if since and note.get("task") != PREPARE:
        write_record(site, id, paused_by_us=False)
        say(site, id, "paused already, by somebody else: it stays so after the boot", "draining")
        return
    say(site, id, "pause new work", "draining")
    write_record(site, id, paused_by_us=True)
    why = record["why"] or "prepared for a reboot"
    words = {"who": record["who"], "why": why, "until": 0, "id": id, "task": PREPARE}
    set_pause(site, **words, keep=record["keep_paused"])


def drain(site: Site, record: Record) -> None:
    """Wait for running jobs to end, up to the deadline that was given."""
    deadline = time.monotonic() + record["drain_s"]
    told = -1
    while record["drain_s"]:
        left = len(running_jobs(site))
        if left != told:
            say(site, record["id"], f"{left} job(s) running")
            told = left
        if not left or time.monotonic() >= deadline:
            return
        time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))


def requeue(site: Site, record: Record) -> tuple[str, str]:
    """From the stop of the service on: the part that a cancel does not take back."""
    id = record["id"]
    # A job that failed while the others were waited for may have left its container running.
    stray = stray_problem(site)
    if stray:
        raise StepError(stray)
    # In this order: a cancel that reads the step before it sends its signal cannot be misled.
    say(site, id, f"stop {site['unit']}", "stopping")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop_unit(site["unit"])
    say(site, id, "snapshot the database", "snapshot")
    kept = snapshot(site, id)
    jobs = running_jobs(site)
    ids = [job["id"] for job in jobs]
    write_record(site, id, snapshot=kept)
    say(site, id, f"requeue {len(ids)} job(s)", "requeueing")
    job_runner(
        site,
        "jobrunner.cli.prepare_for_reboot",
        answer="y\n",
        timeout_s=REQUEUE_TIMEOUT_S,
    )
    say(site, id, "verify that nothing runs and nothing is lost", "verifying")
    verify(site, ids, kept)
    # Those of an earlier preparation in this boot wait, too.
    write_record(site, id, requeued=sorted(waiting_jobs(site)))
    say(site, id, "READY TO REBOOT", "done")
    return "ready", f"{len(ids)} job(s) requeued"


def verify(site: Site, ids: list[str], kept: str) -> None:
    """No job lost, none running, none of the requeued ones left in docker."""
    lost = job_ids(site, kept) ^ job_ids(site)
    if lost:
        raise StepError(f"the set of jobs changed: {', '.join(sorted(lost))}")
    running = running_jobs(site)
    if running:
        raise StepError(f"still running: {', '.join(job['id'] for job in running)}")
    missing = set(ids) - waiting_jobs(site)
    if missing:
        raise StepError(f"not requeued: {', '.join(sorted(missing))}")
    left = [name for name in docker_names(site) if of_jobs(name, ids)]
    if left:
        raise StepError(f"left in docker: {', '.join(left)}")
    alive = sorted(strays(site))
    if alive:
        raise StepError(f"containers that no job stands for are running: {', '.join(alive)}")


def undo(site: Site, id: str, error: Exception) -> list[str]:
    """Back to serving: what was requeued begins anew. Returns what could not be put back."""
    record = read_record(site, id)
    words = "cancelled" if isinstance(error, CancelledError) else str(error)
    # Each of these matters even where the others fail.
    with contextlib.suppress(OSError):
        say(site, id, f"going back: {words}")
    left = []
    try:
        if record.get("was_active") and is_down(site["unit"]):
            systemctl("start", site["unit"])
            # What fails in its first moments is started again and again.
            time.sleep(SETTLE_S)
            left += [] if is_up(site["unit"]) else [f"{site['unit']} does not stay up"]
    except (StepError, OSError):
        left.append(f"{site['unit']} does not start")
    try:
        since = flag(site)
        if record.get("paused_by_us") and pause_note(site, since).get("id") == id:
            clear_pause(site)
    except (StepError, OSError, sqlite3.Error):
        left.append("it is still paused")
    return left


def mounts() -> list[str]:
    """Where real file systems are mounted, other than what comes and goes by itself."""
    real = ("/dev/", "//")
    # Each version of a snap is a mount of its own.
    passing = ("/run/", "/snap/", "/var/lib/docker/", "/etc/", "/proc/", "/sys/")
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    # Device, place, type: a network file system has a colon or slashes in its device.
    return sorted(
        {
            plain(row[1])
            for row in rows
            if (row[0].startswith(real) or ":" in row[0]) and not row[1].startswith(passing)
        }
    )
