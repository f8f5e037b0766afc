"""Runs on the host: the containers and volumes of jobs, and containers without a running job."""

import re
import time

from opstasks.maintenance.onhost.account import account
from opstasks.maintenance.onhost.database import running_jobs
from opstasks.maintenance.onhost.query import query
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.commands import required

PREFIX = "os-job-"
# A kill marks the job first: its container may still run for this long.
ORPHAN_S = 20.0
CHECK_EVERY_S = 2.0


def docker_list(site: Site, *args: str) -> list[str]:
    """The words that a docker listing prints. Raises HostFailure."""
    return required("cannot ask docker", "docker", *args, **account(site), timeout=60).split()


def docker_names(site: Site) -> list[str]:
    """Every container and every volume by name."""
    containers = docker_list(site, "ps", "--all", "--format", "{{.Names}}")
    return sorted({*containers, *docker_list(site, "volume", "ls", "--format", "{{.Name}}")})


def belongs_to(name: str, ids: list[str]) -> bool:
    """Whether a container or a volume belongs to one of these jobs."""
    found = re.fullmatch(r"os-(?:job|volume)-([A-Za-z0-9]+)(?:-manager)?", name)
    return bool(found and found[1] in ids)


def orphans(site: Site) -> set[str]:
    """The running containers of jobs that are not running."""
    alive = docker_list(site, "ps", "--filter", f"name=^{PREFIX}", "--format", "{{.Names}}")
    return set(alive) - {f"{PREFIX}{job.id}" for job in running_jobs(site)}


def lasting_orphans(site: Site) -> list[str]:
    """The orphan containers that are still there after `ORPHAN_S`, by name."""
    deadline = time.monotonic() + ORPHAN_S
    found = orphans(site)
    while found and time.monotonic() < deadline:
        time.sleep(CHECK_EVERY_S)
        found &= orphans(site)
    return sorted(found)


def orphan_hint(site: Site, name: str) -> str:
    """The task that removes an orphan container but keeps its volume and a waiting job."""
    id = name.removeprefix(PREFIX)
    rows = query(site, "SELECT state FROM job WHERE id = ?", id)
    if rows and rows[0][0] in ("failed", "succeeded"):
        return f"jobs.kill --no-cleanup {id}"
    return f"run -- docker rm --force {name}"


def orphan_problem(site: Site) -> str:
    """The orphan containers, with a hint for each; "" without any.

    A host with an orphan never becomes ready, so it must be found before anything is stopped.
    """
    found = lasting_orphans(site)
    if not found:
        return ""
    hints = ", ".join(f"`{orphan_hint(site, name)}`" for name in found)
    return f"orphan containers (no running job has them): {', '.join(found)}: run {hints} first"
