"""Runs on the host, as root: the state that a preparation would find. Changes nothing."""

import time
from dataclasses import asdict
from typing import Any

from opstasks.maintenance.onhost.database import RunningJob, running_jobs
from opstasks.maintenance.onhost.pause_flag import paused_at
from opstasks.maintenance.onhost.problems import problems
from opstasks.maintenance.onhost.records import PREPARE, READY
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.store import boot_id, pending, read_items
from opstasks.maintenance.onhost.times import host_time, resolve
from opstasks.maintenance.onhost.units import is_down, read_unit
from opstasks.onhost.protocol import HostRefusal


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Everything that the operator sees in the plan.

    The request: ``site``, ``at`` (a time in the host's zone), ``delay_s``.
    """
    site = site_of(request)
    now = time.time()
    due = resolve(request["at"], request["delay_s"], now)
    if due <= now and request["at"]:
        raise HostRefusal(f"{request['at']} has passed on the host")
    answer = {
        "now_at": now,
        "due_at": due,
        "due_there": host_time(due),
        "problems": problems(site),
    }
    return answer if answer["problems"] else {**answer, **present_state(site)}


def present_state(site: Site) -> dict[str, Any]:
    """The host's state: service, pause, running jobs, scheduled preparations."""
    jobs = running_jobs(site)
    return {
        "is_serving": not is_down(site.unit),
        "is_enabled": read_unit(site.unit).enabled == "enabled",
        "is_paused": bool(paused_at(site)),
        "is_ready": is_ready(site, jobs),
        "jobs": [asdict(job) for job in jobs],
        "scheduled": [asdict(item) for item in pending(site) if item.kind == PREPARE],
    }


def is_ready(site: Site, jobs: list[RunningJob]) -> bool:
    """Whether the host is still prepared."""
    done = [i for i in read_items(site.lock_dir) if i.kind == PREPARE and i.outcome]
    is_prepared = done and done[0].outcome == READY and done[0].boot_id == boot_id()
    return bool(is_prepared and not jobs and is_down(site.unit) and paused_at(site))
