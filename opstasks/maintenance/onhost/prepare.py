"""Runs on the host, as root, as a unit: prepare for a reboot.

Pause, wait for jobs if asked, stop the service, snapshot, requeue, verify. If that fails, restore
the service.
"""

import contextlib
import os
import signal
import time
from dataclasses import replace
from typing import Any

from opstasks.maintenance.onhost.boot import add_boot
from opstasks.maintenance.onhost.claims import prepared_by
from opstasks.maintenance.onhost.closing import TROUBLE, cancel_item, close_dead
from opstasks.maintenance.onhost.containers import belongs_to, docker_names, orphan_problem, orphans
from opstasks.maintenance.onhost.database import job_ids, running_jobs, snapshot, waiting_jobs
from opstasks.maintenance.onhost.file_systems import lasting_mounts
from opstasks.maintenance.onhost.job_runner import job_runner
from opstasks.maintenance.onhost.lock import POLL_S
from opstasks.maintenance.onhost.pause_change import set_pause, write_note
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.problems import problems
from opstasks.maintenance.onhost.records import (
    DONE,
    DRAINING,
    FAILED,
    INTERRUPTED,
    PREPARE,
    READY,
    SCHEDULED,
    STOPPING,
    WAITING,
    Pause,
    ScheduledItem,
)
from opstasks.maintenance.onhost.restore import ERRORS, restore, still_prepared
from opstasks.maintenance.onhost.run import StoppedError, run_scheduled
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.store import boot_id, read_item, read_items
from opstasks.maintenance.onhost.units import SYSTEMCTL, is_down, stop_unit
from opstasks.maintenance.onhost.write import add_step, write_item
from opstasks.onhost.commands import required
from opstasks.onhost.formats import plural, span_text
from opstasks.onhost.protocol import HostFailure, HostRefusal, error_text

# A host that slept at the scheduled time must not go down at another time.
LATE_S = 1800
REQUEUE_TIMEOUT_S = 3600
# So that a client that follows sees READY before the connection ends.
SEEN_S = 3
# How long a shutdown may take to end this program.
HELD_S = 60


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Do the scheduled work, and reboot if that was asked for. The request: ``site``, ``id``."""
    os.umask(0o022)
    outcome, reason = run_scheduled(site_of(request), request["id"], prepare, reboot)
    return {"outcome": outcome, "reason": reason}


def reboot(site: Site, item: ScheduledItem, outcome: str) -> None:
    """Reboot the host if that was asked for and it is ready; nobody else may change it meanwhile.

    The lock is held until the shutdown ends this program. Raises HostFailure.
    """
    if outcome != READY or not item.reboot:
        return
    time.sleep(SEEN_S)
    if reason := why_not_ready(site):
        reason = f"{reason}, so it was not rebooted"
        left = still_prepared(site, read_item(site.lock_dir, item.id))
        write_item(site, item.id, outcome=FAILED, reason=reason, left=left)
        raise HostFailure(reason)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    required("cannot reboot", SYSTEMCTL, "--no-block", "reboot", timeout=60)
    time.sleep(HELD_S)


def why_not_ready(site: Site) -> str:
    """Why a host that was prepared must not be rebooted now; "" if it is still prepared."""
    try:
        is_ready = prepared_by(site) is not None
    except ERRORS as error:
        return f"whether it is still prepared is not known ({error_text(error)})"
    return "" if is_ready else "somebody has changed the host after it was prepared"


def prepare(site: Site, item: ScheduledItem) -> tuple[str, str]:
    """Prepare; returns outcome and reason. If anything fails, the service is restored.

    Raises HostRefusal when it cannot be done, and nothing was touched, unless the record says what
    was cancelled for it.
    """
    id = item.id
    add_step(site, id, "check again that it can be done", WAITING)
    late_s = time.time() - item.due_at
    if item.timed and late_s > LATE_S:
        raise HostRefusal(f"{span_text(late_s)} late: did the host sleep, or did its clock jump?")
    found = problems(site)
    if found:
        raise HostRefusal("; ".join(found))
    take_over(site, item)
    ready = prepared_by(site)
    if ready:
        return stay_ready(site, item, ready)
    write_item(site, id, mounts=tuple(lasting_mounts()), was_active=was_active(site, id))
    try:
        hold_new_work(site, item)
        drain(site, item)
        return requeue(site, item)
    except Exception as error:  # a full disk, for example: restore the service in every case
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        undo(site, id, error)
        if isinstance(error, HostRefusal):  # it was paused already
            raise HostFailure(error.reason, error.detail) from error
        raise


def take_over(site: Site, item: ScheduledItem) -> None:
    """Cancel what this preparation replaces, and close those that were killed.

    It has the lock, and nothing refuses it any more: until now, the others counted.
    """
    gone = item.replaced
    for other in (read_item(site.lock_dir, id) for id in item.replaces):
        if other.step and not other.outcome:
            cancel_item(site, other, f"replaced by {item.id}")
            gone = (*gone, other.title)
            write_item(site, item.id, replaced=gone)
    with contextlib.suppress(*TROUBLE):
        close_dead(site, item.id)


def undo(site: Site, id: str, error: Exception) -> None:
    """Restore the service and note what could not be restored, even if the disk is full."""
    words = "cancelled" if isinstance(error, StoppedError) else error_text(error)
    with contextlib.suppress(OSError):
        add_step(site, id, f"restoring: {words}")
    left = restore(site, read_item(site.lock_dir, id))
    with contextlib.suppress(OSError):
        write_item(site, id, left=tuple(left))


def stay_ready(site: Site, item: ScheduledItem, ready: ScheduledItem) -> tuple[str, str]:
    """The host is prepared already: nothing is repeated, and its pause stays that person's."""
    note = pause_note(site, paused_at(site))
    if item.keep_paused and note and not note.keep:
        write_note(site, replace(note, keep=True))
    write_item(
        site,
        item.id,
        mounts=ready.mounts,
        was_active=ready.was_active,
        paused_by_us=ready.paused_by_us,
        snapshot=ready.snapshot,
        requeued=tuple(sorted(waiting_jobs(site))),
    )
    add_step(site, item.id, "READY TO REBOOT", DONE)
    return READY, f"prepared already by {ready.who} at {ready.due_there}"


def was_active(site: Site, id: str) -> bool:
    """Whether the service was up before this preparation, or before one that it continues.

    It continues one of this boot that was ready, or that ended without restoring the service.
    """
    if not is_down(site.unit):
        return True
    here = boot_id()
    made = [i for i in read_items(site.lock_dir) if i.kind == PREPARE and i.boot_id == here]
    begun = [i for i in made if i.id != id and i.step not in (SCHEDULED, WAITING)]
    newest = next(iter(begun), None)
    is_continued = newest and (newest.outcome in ("", READY, INTERRUPTED) or newest.left)
    return bool(newest and is_continued and newest.was_active)


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
        # It stays paused for whoever asked for that, also after a preparation that was killed.
        keep=item.keep_paused or bool(note and note.keep),
    )
    set_pause(site, pause)


def drain(site: Site, item: ScheduledItem) -> None:
    """Wait for running jobs to end, for at most `drain_s`."""
    deadline = time.monotonic() + item.drain_s
    reported = -1
    while item.drain_s:
        left = len(running_jobs(site))
        if left != reported:
            add_step(site, item.id, f"{plural(left, 'job')} running")
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
    add_step(site, id, f"requeue {plural(len(ids), 'job')}", "requeueing")
    docker_names(site)  # job-runner's command would wait for ever for a docker that hangs
    requeue_jobs(site)
    add_step(site, id, "verify that no job is running and no job is lost", "verifying")
    verify(site, ids, copy)
    # The jobs of an earlier preparation in this boot wait, too.
    write_item(site, id, requeued=tuple(sorted(waiting_jobs(site))))
    add_step(site, id, "READY TO REBOOT", DONE)
    return READY, f"{plural(len(ids), 'job')} requeued"


def requeue_jobs(site: Site) -> None:
    """Requeue running jobs with job-runner's own command, which asks once."""
    command = "jobrunner.cli.prepare_for_reboot"
    job_runner(site, command, answer="y\n", timeout_s=REQUEUE_TIMEOUT_S)


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
