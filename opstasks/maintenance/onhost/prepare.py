"""Runs on the host, as root, as a unit: prepare for a reboot.

Pause, wait for jobs if asked, stop the service, snapshot, requeue, verify. If that fails, restore
the service.
"""

import contextlib
import os
import signal
import sqlite3
import time
from typing import Any

from opstasks.maintenance.onhost.boot import add_boot
from opstasks.maintenance.onhost.containers import belongs_to, docker_names, orphan_problem, orphans
from opstasks.maintenance.onhost.database import job_ids, running_jobs, snapshot, waiting_jobs
from opstasks.maintenance.onhost.file_systems import lasting_mounts
from opstasks.maintenance.onhost.job_runner import job_runner
from opstasks.maintenance.onhost.lock import POLL_S
from opstasks.maintenance.onhost.pause_change import clear_pause, set_pause
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.problems import problems
from opstasks.maintenance.onhost.records import (
    DONE,
    DRAINING,
    PREPARE,
    READY,
    STOPPING,
    WAITING,
    Pause,
    ScheduledItem,
)
from opstasks.maintenance.onhost.run import StoppedError, run_scheduled
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.store import boot_id, newest_ready, read_item
from opstasks.maintenance.onhost.units import SYSTEMCTL, is_down, is_up, stop_unit, systemctl
from opstasks.maintenance.onhost.write import add_step, write_item
from opstasks.onhost.commands import required
from opstasks.onhost.formats import span_text
from opstasks.onhost.protocol import HostFailure, HostRefusal

# A host that slept at the scheduled time must not go down at another time.
LATE_S = 1800
REQUEUE_TIMEOUT_S = 3600
SETTLE_S = 3.0
# So that a client that follows sees READY before the connection ends.
SEEN_S = 3


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Do the scheduled work, and reboot if that was asked for. The request: ``site``, ``id``."""
    os.umask(0o022)
    item, outcome, reason = run_scheduled(site_of(request), request["id"], prepare)
    if outcome == READY and item.reboot:
        time.sleep(SEEN_S)
        required("cannot reboot", SYSTEMCTL, "--no-block", "reboot", timeout=60)
    return {"outcome": outcome, "reason": reason}


def prepare(site: Site, item: ScheduledItem) -> tuple[str, str]:
    """Prepare; returns outcome and reason. If anything fails, the service is restored.

    Raises HostRefusal when it cannot be done, and nothing was touched.
    """
    id = item.id
    add_step(site, id, "check again that it can be done", WAITING)
    late_s = time.time() - item.due_at
    if item.timed and late_s > LATE_S:
        raise HostRefusal(f"{span_text(late_s)} late: did the host sleep?")
    found = problems(site)
    if found:
        raise HostRefusal("; ".join(found))
    write_item(site, id, mounts=tuple(lasting_mounts()), was_active=was_active(site))
    try:
        hold_new_work(site, item)
        drain(site, item)
        return requeue(site, item)
    except Exception as error:  # a full disk, for example: restore the service in every case
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        left = undo(site, id, error)
        with contextlib.suppress(OSError):
            write_item(site, id, left=tuple(left))
        raise


def was_active(site: Site) -> bool:
    """Whether the service was up, before this preparation or the one that it repeats."""
    if not is_down(site.unit):
        return True
    ready = newest_ready(site)
    return bool(ready and ready.boot_id == boot_id() and ready.was_active)


def hold_new_work(site: Site, item: ScheduledItem) -> None:
    """Pause new jobs until after the boot; an earlier pause by someone else stays unchanged."""
    flag_at = paused_at(site)
    note = pause_note(site, flag_at)
    # In every case: the boot notes which preparation was for it.
    add_boot(site)
    if flag_at and (note is None or note.task != PREPARE):
        write_item(site, item.id, paused_by_us=False)
        text = "already paused by someone else: it stays paused after the boot"
        add_step(site, item.id, text, DRAINING)
        return
    add_step(site, item.id, "pause new jobs", DRAINING)
    write_item(site, item.id, paused_by_us=True)
    pause = Pause(
        who=item.who,
        why=item.why or "prepared for a reboot",
        id=item.id,
        task=PREPARE,
        keep=item.keep_paused,
    )
    set_pause(site, pause)


def drain(site: Site, item: ScheduledItem) -> None:
    """Wait for running jobs to end, for at most `drain_s`."""
    deadline = time.monotonic() + item.drain_s
    reported = -1
    while item.drain_s:
        left = len(running_jobs(site))
        if left != reported:
            add_step(site, item.id, f"{left} job(s) running")
            reported = left
        if not left or time.monotonic() >= deadline:
            return
        time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))


def requeue(site: Site, item: ScheduledItem) -> tuple[str, str]:
    """Stop the service and requeue running jobs; from here on a cancel is refused."""
    id = item.id
    # A job that failed during the wait may have left its container running.
    orphan = orphan_problem(site)
    if orphan:
        raise HostFailure(orphan)
    # The order matters: a cancel reads the step before it sends its signal.
    add_step(site, id, f"stop {site.unit}", STOPPING)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop_unit(site.unit)
    add_step(site, id, "snapshot the database", "snapshot")
    copy = snapshot(site, id)
    ids = [job.id for job in running_jobs(site)]
    write_item(site, id, snapshot=copy)
    add_step(site, id, f"requeue {len(ids)} job(s)", "requeueing")
    command = "jobrunner.cli.prepare_for_reboot"
    job_runner(site, command, answer="y\n", timeout_s=REQUEUE_TIMEOUT_S)
    add_step(site, id, "verify that no job is running and no job is lost", "verifying")
    verify(site, ids, copy)
    # The jobs of an earlier preparation in this boot wait, too.
    write_item(site, id, requeued=tuple(sorted(waiting_jobs(site))))
    add_step(site, id, "READY TO REBOOT", DONE)
    return READY, f"{len(ids)} job(s) requeued"


def verify(site: Site, ids: list[str], copy: str) -> None:
    """Check: no job lost, none running, docker has nothing of them. Raises HostFailure."""
    lost = job_ids(site, copy) ^ job_ids(site)
    if lost:
        raise HostFailure(f"the set of jobs changed: {', '.join(sorted(lost))}")
    running = running_jobs(site)
    if running:
        raise HostFailure(f"still running: {', '.join(job.id for job in running)}")
    missing = set(ids) - waiting_jobs(site)
    if missing:
        raise HostFailure(f"not requeued: {', '.join(sorted(missing))}")
    left = [name for name in docker_names(site) if belongs_to(name, ids)]
    if left:
        raise HostFailure(f"left in docker: {', '.join(left)}")
    alive = sorted(orphans(site))
    if alive:
        raise HostFailure(f"orphan containers are running: {', '.join(alive)}")


def undo(site: Site, id: str, error: Exception) -> list[str]:
    """Restore the service: requeued jobs begin again. Returns what could not be restored."""
    item = read_item(site.lock_dir, id)
    words = "cancelled" if isinstance(error, StoppedError) else str(error)
    # Each of these is needed even if the others fail.
    with contextlib.suppress(OSError):
        add_step(site, id, f"restoring: {words}")
    left = []
    try:
        if item.was_active and is_down(site.unit):
            systemctl("start", site.unit)
            # A service that fails right after its start is restarted again and again.
            time.sleep(SETTLE_S)
            left += [] if is_up(site.unit) else [f"{site.unit} does not stay up"]
    except (HostFailure, OSError):
        left.append(f"{site.unit} does not start")
    try:
        note = pause_note(site, paused_at(site))
        if item.paused_by_us and note and note.id == id:
            clear_pause(site)
    except (HostFailure, OSError, sqlite3.Error):
        left.append("it is still paused")
    return left
