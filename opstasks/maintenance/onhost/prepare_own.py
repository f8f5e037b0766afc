"""Runs on the host, as the service account: prepare for a reboot with its own rights.

It may stop and start its service, and requeue its jobs: that is the playbook's recipe. It cannot
make a timer, or a unit for the boot, so nothing is paused: the boot starts the service, and the
jobs begin again.
"""

import os
from typing import Any

from opstasks.maintenance.onhost.claims import claims
from opstasks.maintenance.onhost.database import running_jobs, snapshot, waiting_jobs
from opstasks.maintenance.onhost.prepare import requeue_jobs, verify
from opstasks.maintenance.onhost.problems import problems
from opstasks.maintenance.onhost.records import STOPPING, ScheduledItem
from opstasks.maintenance.onhost.restore import restore
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.units import is_down, stop_unit
from opstasks.onhost.protocol import HostFailure, HostRefusal, error_text


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Stop the service, requeue its jobs, verify. The request: ``site``, ``id`` of the run.

    If a step fails, the service is started again, if it was up.
    """
    os.umask(0o022)
    site = site_of(request)
    found = problems(site)
    if found:
        raise HostRefusal("; ".join(found))
    was_active = not is_down(site.unit)
    changed = was_active or bool(running_jobs(site))
    if changed:
        try:
            requeue(site, request["id"])
        except Exception as error:  # a full disk, for example: start the service in every case
            left = restore(site, ScheduledItem(was_active=was_active, step=STOPPING))
            more = f"; not restored: {'; '.join(left)}" if left else ""
            state = claims(site).get("service") or "unknown"
            detail = getattr(error, "detail", "")
            raise HostFailure(f"{error_text(error)}{more}; now service {state}", detail) from error
    now = {**claims(site), "prepared": is_down(site.unit) and not running_jobs(site)}
    return {"changed": changed, "requeued": sorted(waiting_jobs(site)), "now": now}


def requeue(site: Site, id: str) -> None:
    """Stop the service, copy the database, requeue running jobs, verify."""
    stop_unit(site.unit)
    copy = snapshot(site, id)
    ids = [job.id for job in running_jobs(site)]
    requeue_jobs(site)
    verify(site, ids, copy)
