"""Runs on the host, as root or the service account: the state that a preparation would find.

Changes nothing.
"""

import time
from dataclasses import asdict
from typing import Any

from opstasks.maintenance.onhost.claims import prepared_by
from opstasks.maintenance.onhost.database import running_jobs
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.problems import problems
from opstasks.maintenance.onhost.records import PREPARE, current_pause
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.store import dead, pending
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
    """The host's state: service, pause, running jobs, preparations scheduled, made or dead."""
    flag_at = paused_at(site)
    pause = current_pause(flag_at, pause_note(site, flag_at))
    ready = prepared_by(site)
    return {
        "is_serving": not is_down(site.unit),
        "is_enabled": read_unit(site.unit).enabled == "enabled",
        "is_paused": pause is not None,
        "pause": asdict(pause) if pause else None,
        "is_ready": ready is not None,
        "ready": asdict(ready) if ready else None,
        "jobs": [asdict(job) for job in running_jobs(site)],
        "scheduled": [asdict(item) for item in pending(site) if item.kind == PREPARE],
        "dead": [asdict(item) for item in dead(site)],
    }
