"""Runs on the host: what would keep a preparation from ending well."""

import shutil
import sqlite3
import subprocess
from pathlib import Path

from opstasks.maintenance.onhost.account import Site, account, as_service, job_runner
from opstasks.maintenance.onhost.containers import stray_problem
from opstasks.maintenance.onhost.database import job_ids
from opstasks.maintenance.onhost.units import unit_state
from opstasks.onhost.commands import StepError, must
from opstasks.onhost.json_files import read_json

# Records and scripts take 100 kB.
LEAST_ROOM = 1 << 20


def problems(site: Site) -> list[str]:
    """Everything that would keep a preparation from ending well; looked at twice.

    Once when it is armed, once when it fires: what was so then need not be so now.
    """
    found = []
    looks = (unit_problem, docker_problem, database_problem, room_problem, command_problem)
    for look in (*looks, release_problem):
        try:
            text = look(site)
        except (StepError, OSError, KeyError, sqlite3.Error, subprocess.SubprocessError) as error:
            detail = getattr(error, "detail", "").strip().splitlines()[-1:]
            text = ": ".join([str(error), *detail])
        if text and text not in found:
            found.append(text)
    return found


def unit_problem(site: Site) -> str:
    """The service must be there."""
    state = unit_state(site["unit"])
    return "" if state.get("LoadState") == "loaded" else f"there is no unit {site['unit']}"


def docker_problem(site: Site) -> str:
    """The service account must be able to remove containers, and none may be left over."""
    must("docker does not answer", "docker", "ps", "--quiet", **account(site), timeout=60)
    return stray_problem(site)


def database_problem(site: Site) -> str:
    """The database must be readable, and there must be room for a copy of it."""
    ids = job_ids(site)
    size = Path(site["database"]).stat().st_size
    place = site["state_dir"] if Path(site["state_dir"]).is_dir() else site["home"]
    if shutil.disk_usage(place).free < size * 1.2 + (16 << 20):
        return f"no room for a snapshot of the database ({len(ids)} jobs) under {place}"
    return ""


def room_problem(site: Site) -> str:
    """What is armed is kept on the disk, and so is how it went."""
    free = shutil.disk_usage(site["lock_dir"]).free
    return f"no room under {site['lock_dir']}" if free < LEAST_ROOM else ""


def command_problem(site: Site) -> str:
    """job-runner's own commands must be there, and load with the configuration as it is."""
    for name in ("prepare_for_reboot", "flags"):
        if not Path(site["code"], "jobrunner", "cli", name + ".py").is_file():
            return f"the installed job-runner has no command {name}"
    job_runner(site, "jobrunner.cli.prepare_for_reboot", "--help")
    return ""


def release_problem(site: Site) -> str:
    """A half-done deploy must be brought to its end first, however old it is by its id."""
    folder = Path(site["state_dir"], "releases")

    def unfinished() -> list[str]:
        found = [read_json(path) for path in sorted(folder.glob("*.json"))]
        return [str(r["id"]) for r in found if r.get("id") and not r.get("outcome")]

    cut_off = as_service(site, unfinished)
    return f"the release {cut_off[0]} is unfinished: run `deploy` first" if cut_off else ""
