"""Runs on the host: problems that prevent a preparation."""

import shutil
import sqlite3
import subprocess
from pathlib import Path

from opstasks.maintenance.onhost.account import account, as_service
from opstasks.maintenance.onhost.containers import orphan_problem
from opstasks.maintenance.onhost.database import job_ids, snapshots_dir
from opstasks.maintenance.onhost.folders import closed_folders
from opstasks.maintenance.onhost.job_runner import job_runner
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.commands import required
from opstasks.onhost.folder_rights import NO_FOLDER, READ_ONLY
from opstasks.onhost.formats import plural
from opstasks.onhost.protocol import HostFailure, HostRefusal, error_text
from opstasks.onhost.release_records import refuse_unfinished
from opstasks.onhost.unit_control import refuse_unstartable

# Records and scripts take a few hundred kB.
MIN_FREE_BYTES = 1 << 20
# The space that a snapshot needs in addition to the size of the database.
SPARE_BYTES = 16 << 20


def problems(site: Site) -> list[str]:
    """All problems that prevent a preparation; empty when it can be done.

    Checked twice, when work is scheduled and when it begins: things change in between.
    """
    found: list[str] = []
    checks = (unit_problem, folder_problem, docker_problem, database_problem, room_problem)
    for check in (*checks, command_problem, release_problem):
        try:
            text = check(site)
        except (HostRefusal, HostFailure) as error:
            text = ": ".join(filter(None, [error.reason, error.detail.strip().split("\n")[-1]]))
        except (OSError, KeyError, sqlite3.Error, subprocess.SubprocessError) as error:
            text = error_text(error)
        if text and text not in found:
            found.append(text)
    return found


def unit_problem(site: Site) -> str:
    """Check that the service can be started again, as its own account. Raises HostRefusal."""
    refuse_unstartable(site.unit, site.service_user)
    return ""


def folder_problem(site: Site) -> str:
    """Check that every folder can be written to."""
    owner = f"give it to {site.service_user} (chown -R)"
    advice = {NO_FOLDER: "move it away (mv)", READ_ONLY: "see dmesg"}
    found = [
        f"cannot write to {place}: {why}: {advice.get(why, owner)} first"
        for place, why in closed_folders(site)
    ]
    return "; ".join(dict.fromkeys(found))


def docker_problem(site: Site) -> str:
    """Check that the service account can use docker, and that no orphan runs."""
    required("docker does not answer", "docker", "ps", "--quiet", **account(site), timeout=60)
    return orphan_problem(site)


def database_problem(site: Site) -> str:
    """Check that the database is readable and that there is room for a copy."""
    ids = job_ids(site)
    size_bytes = int(as_service(site, lambda: Path(site.database).stat().st_size))
    places = (snapshots_dir(site), Path(site.state_dir), Path(site.home))
    place = next((path for path in places if path.is_dir()), places[-1])
    if shutil.disk_usage(place).free < size_bytes * 1.2 + SPARE_BYTES:
        return f"no room for a snapshot of the database ({plural(len(ids), 'job')}) under {place}"
    return ""


def room_problem(site: Site) -> str:
    """Check that there is room for the record and the script of the work."""
    free_bytes = shutil.disk_usage(site.lock_dir).free
    return f"no room under {site.lock_dir}" if free_bytes < MIN_FREE_BYTES else ""


def command_problem(site: Site) -> str:
    """Check that job-runner's own commands exist and load with the present configuration."""
    folder = Path(site.code_dir, "jobrunner", "cli")

    def missing() -> list[str]:
        names = ("prepare_for_reboot", "flags")
        return [name for name in names if not (folder / (name + ".py")).is_file()]

    for name in as_service(site, missing):
        return f"the installed job-runner has no command {name}"
    job_runner(site, "jobrunner.cli.prepare_for_reboot", "--help")
    return ""


def release_problem(site: Site) -> str:
    """Check that no deploy is unfinished, or may be, however old it is.

    Raises HostRefusal, as the steps of a deploy do.
    """
    as_service(site, lambda: refuse_unfinished(site.state_dir))
    return ""
