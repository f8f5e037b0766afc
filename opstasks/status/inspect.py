"""`status`: the commands for a host, in one round trip as the service account, and the answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from opstasks.core.command import Command, cmd
from opstasks.core.errors import InvalidResponse, OpsError
from opstasks.core.lines import last_line
from opstasks.core.result import Result
from opstasks.deploy import fit, release
from opstasks.fleet import lock, together
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs import disks
from opstasks.jobs import read as jobs
from opstasks.maintenance import records
from opstasks.primitives import git, systemd
from opstasks.status import crashes
from opstasks.status.judge import StatusFacts, judge
from opstasks.status.model import HostStatus
from opstasks.sync import facts as sync

MOST_JOBS = 500
T = TypeVar("T")


def inspect(host: Host) -> HostStatus:
    """Read a host's status; raises InvalidResponse when an answer is invalid."""
    results = together.gather(host.service, questions(host.spec))
    return judge(decode(host.spec, results), time.time())


def questions(spec: HostSpec) -> dict[str, Command]:
    """The commands, by name."""
    running = jobs.JobSelection(("running",))
    return {
        "unit": crashes.unit_command(spec),
        "release": git.describe(spec.code_dir),
        "behind": _behind_command(spec),
        "fit": fit.fit_command(spec),
        "disk": disks.use_command(spec),
        "releases": release.list_command(spec),
        "lock": lock.holder(spec),
        "maintenance": records.read_command(spec, with_flag=True),
        **({"sync": sync.inspect_command(spec)} if spec.level3_source else {}),
        # Last: it waits for a locked database, and for docker.
        "jobs": jobs.jobs_command(spec, running, limit=MOST_JOBS, with_docker=True),
    }


def _behind_command(spec: HostSpec) -> Command:
    """Count the commits of the wanted branch, as it was last fetched, that are not checked out."""
    options = ("--no-optional-locks", "-C", spec.code_dir)
    commits = f"HEAD..refs/remotes/origin/{spec.deploy.code.ref}"
    return cmd("git", *options, "rev-list", "--count", commits, "--")


def decode(spec: HostSpec, results: dict[str, Result]) -> StatusFacts:
    """The answers as values.

    A failed command is a problem of its part only; raises InvalidResponse for an invalid answer.
    """
    name, *problems = _release(spec, results["release"])
    shown, log = crashes.parts(results["unit"].out)

    def part(what: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except InvalidResponse:
            raise
        except OpsError as error:
            problems.append(": ".join(filter(None, [what, error.message, last_line(error.tail)])))
            return otherwise

    return StatusFacts(
        host=spec.name,
        unit=systemd.parse_show(spec.unit, shown),
        runs=crashes.parse_runs(log),
        release=name or None,
        behind=_behind(results["behind"]),
        jobs=_jobs(results["jobs"], spec.name),
        misfit=part("code", lambda: fit.FIT.decode(results["fit"], spec.name).misfit(), ""),
        disks_percent=disks.parse_use(results["disk"].out),
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


def _release(spec: HostSpec, result: Result) -> tuple[str, ...]:
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


def _behind(result: Result) -> int | None:
    """How many commits; None where the branch was never fetched, or is a tag or a commit."""
    text = result.text
    is_count = result.code == 0 and text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if is_count else None
