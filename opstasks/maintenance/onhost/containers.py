"""Runs on the host: what jobs have in docker, and what runs there for no job."""

import re
import time

from opstasks.maintenance.onhost.account import Site, account
from opstasks.maintenance.onhost.database import query, running_jobs
from opstasks.onhost.commands import must

PREFIX = "os-job-"
# A job that is being killed is marked first: its container may run on for so long.
STRAY_S = 20.0
LOOK_AGAIN_S = 2.0


def docker_list(site: Site, *args: str) -> list[str]:
    """What a listing of docker's prints."""
    return must("cannot ask docker", "docker", *args, **account(site), timeout=120).split()


def docker_names(site: Site) -> list[str]:
    """Every container and every volume by name."""
    containers = docker_list(site, "ps", "--all", "--format", "{{.Names}}")
    return sorted({*containers, *docker_list(site, "volume", "ls", "--format", "{{.Name}}")})


def of_jobs(name: str, ids: list[str]) -> bool:
    """Whether a container or a volume belongs to one of these jobs."""
    found = re.fullmatch(r"os-(?:job|volume)-([A-Za-z0-9]+)(?:-manager)?", name)
    return bool(found and found[1] in ids)


def strays(site: Site) -> set[str]:
    """The containers of jobs that run though their job does not."""
    alive = docker_list(site, "ps", "--filter", f"name=^{PREFIX}", "--format", "{{.Names}}")
    return set(alive) - {f"{PREFIX}{job['id']}" for job in running_jobs(site)}


def lasting_strays(site: Site) -> list[str]:
    """Those of them that are not about to go, by name."""
    deadline = time.monotonic() + STRAY_S
    found = strays(site)
    while found and time.monotonic() < deadline:
        time.sleep(LOOK_AGAIN_S)
        found &= strays(site)
    return sorted(found)


def stray_hint(site: Site, name: str) -> str:
    """How to be rid of a container; its volume, and a job that still waits, are left alone."""
    id = name.removeprefix(PREFIX)
    rows = query(site, "SELECT state FROM job WHERE id = ?", id)
    if rows and rows[0][0] in ("failed", "succeeded"):
        return f"jobs.kill --no-cleanup {id}"
    return f"run -- docker rm --force {name}"


def stray_problem(site: Site) -> str:
    """A container that runs for no running job keeps a host from ever being ready.

    It must be found before anything is stopped.
    """
    found = lasting_strays(site)
    if not found:
        return ""
    hints = ", ".join(f"`{stray_hint(site, name)}`" for name in found)
    return f"containers run that no running job stands for: {', '.join(found)}: run {hints} first"
