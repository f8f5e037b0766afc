"""Runs on the host: the folders that a preparation, a pause and scheduled work write to.

They are checked before anything is touched: a person may have made one of them as root.
"""

import os
from pathlib import Path

from opstasks.maintenance.onhost import boot_unit
from opstasks.maintenance.onhost.account import as_service
from opstasks.maintenance.onhost.database import snapshots_dir
from opstasks.maintenance.onhost.records import records_dir, scripts_dir
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.folder_rights import Closed, closed, refuse_closed


def of_pause(site: Site) -> list[str]:
    """Where the service account writes the note on a pause, and job-runner its flag."""
    return [site.state_dir, str(Path(site.database).parent)]


def of_work(site: Site) -> list[str]:
    """Where root writes scheduled work, and the unit of the next boot."""
    return [str(records_dir(site.lock_dir)), str(scripts_dir(site)), boot_unit.UNIT_DIR]


def closed_folders(site: Site) -> list[Closed]:
    """What prevents that a preparation writes; the service account makes no scheduled work."""
    own = [*of_pause(site), str(snapshots_dir(site))]
    found = as_service(site, lambda: [closed(path) for path in own])
    found += [closed(path) for path in of_work(site)] if os.geteuid() == 0 else []
    return [Closed(*each) for each in found if each]


def check_pause(site: Site, *, has_end: bool) -> None:
    """Raise HostRefusal if a pause cannot be written; its end is scheduled work."""
    as_service(site, lambda: refuse_closed(*of_pause(site)))
    if has_end:
        refuse_closed(*of_work(site))
