"""`status`: the commands for a host, in one round trip as the service account, and the answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from opstasks.core.command import Command, cmd
from opstasks.core.errors import InvalidResponse, OpsError
from opstasks.core.result import Result
from opstasks.deploy import fit, release
from opstasks.fleet import lock, together
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs import read as jobs
from opstasks.maintenance import records
from opstasks.primitives import git, systemd
from opstasks.status.judge import HostStatus, StatusFacts, judge
from opstasks.sync import facts as sync

MOST_JOBS = 500
_DISK = re.compile(r"\s*(\d{1,3})%\s+(/.*)")
T = TypeVar("T")


def inspect(host: Host) -> HostStatus:
    """Read a host's status; raises InvalidResponse when an answer is invalid."""
    results = together.gather(host.service, questions(host.spec))
    return judge(decode(host.spec, results), time.time())


def questions(spec: HostSpec) -> dict[str, Command]:
    """The commands, by name."""
    running = jobs.JobSelection(("running",))
    return {
        "unit": systemd.show(spec.unit),
        "deployed": git.describe(spec.code_dir),
        "fit": fit.fit_command(spec),
        "disk": cmd("df", "--output=pcent,target", spec.home, spec.high_privacy),
        "releases": release.list_command(spec),
        "lock": lock.holder(spec),
        "maintenance": records.read_command(spec, with_flag=True),
        **({"sync": sync.inspect_command(spec)} if spec.level3_source else {}),
        # Last: it waits for a locked database, and for docker.
        "jobs": jobs.jobs_command(spec, running, limit=MOST_JOBS, with_docker=True),
    }


def decode(spec: HostSpec, results: dict[str, Result]) -> StatusFacts:
    """The answers as values.

    A failed command is a problem of its part only; raises InvalidResponse for an invalid answer.
    """
    deployed, *problems = _deployed(spec, results["deployed"])

    def part(what: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except InvalidResponse:
            raise
        except OpsError as error:
            problems.append(": ".join([what, error.message, *error.tail.splitlines()[-1:]]))
            return otherwise

    return StatusFacts(
        unit=systemd.parse_show(spec.unit, results["unit"].out),
        deployed=deployed,
        jobs=_jobs(results["jobs"], spec.name),
        misfit=part("code", lambda: fit.FIT.decode(results["fit"], spec.name).misfit(), ""),
        disks_percent=_disks_percent(results["disk"].out),
        releases=part(
            "releases", lambda: release.parse_releases(results["releases"], spec.name), ()
        ),
        lock_owner=lock.parse_owner(results["lock"].out),
        maintenance=part(
            "scheduled work",
            lambda: records.READ.decode(results["maintenance"], spec.name),
            records.UNREAD,
        ),
        sync=part("level 3 sync", lambda: sync.decode(spec, results["sync"]), None)
        if "sync" in results
        else None,
        problems=tuple(problems),
    )


def _deployed(spec: HostSpec, result: Result) -> tuple[str, ...]:
    """The name of the commit that is checked out; or "" and why git cannot say it."""
    if result.code == 0:
        return (result.text.partition("\n")[0],)
    words = result.tail().partition("\n")[0]
    return "", f"cannot read {spec.code_dir}: {words}"


def _jobs(result: Result, host: str) -> jobs.JobsAnswer:
    """The jobs; an answer with a `problem` when they could not be read.

    Raises InvalidResponse.
    """
    try:
        return jobs.READ.decode(result, host)
    except InvalidResponse:
        raise
    except OpsError:
        return jobs.jobs_answer(result, host)


def _disks_percent(text: str) -> dict[str, int]:
    """Percentage used by mount point, from df; invalid lines are left out."""
    matches = (_DISK.fullmatch(line) for line in text.split("\n")[1:])
    return {match[2]: int(match[1]) for match in matches if match}
