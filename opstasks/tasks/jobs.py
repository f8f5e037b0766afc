"""`jobs`: what runs where (playbook: "Debugging jobs")."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from invoke import Collection, task

from opstasks.app import Context

if TYPE_CHECKING:
    from opstasks.host import Host


@task(
    help={
        "all": "Every job, not only the running ones; newest first.",
        "state": "Only jobs in this state: pending, running, failed or succeeded.",
        "workspace": "Only jobs of this workspace.",
        "limit": "How many jobs of each host at most.",
    },
    auto_shortflags=False,
)
def ls(
    ctx: Context, all: bool = False, state: str = "", workspace: str = "", limit: int = 50
) -> None:
    """List jobs, what the database and docker know of them joined; disagreements are flagged.

    Example: inv -H all jobs.ls --state failed
    """
    from opstasks.errors import Refused
    from opstasks.jobrunner import jobs
    from opstasks.primitives import docker

    if state and state not in jobs.STATES:
        raise Refused(f"there is no state {state!r}", cure=f"states: {', '.join(jobs.STATES)}")
    states = [state] if state else [] if all else ["running"]

    def read(host: Host) -> list[jobs.Job]:
        rows, containers = host.service.batch(
            [jobs.read_command(host.spec, states, workspace, limit), jobs.containers_command()]
        )
        found = jobs.parse(rows.out)
        if found.error:
            raise Refused(f"cannot read the jobs: {found.error}", host=host.name)
        joined = jobs.join(found.jobs, docker.parse_containers(containers.out))
        # A container that the selection left out is no stray.
        return (
            list(joined)
            if states == ["running"] and not workspace
            else ([job for job in joined if job.state != "?"])
        )

    result = ctx.fleet.gather(read)
    rows = [[host, *_cells(job)] for host, found in result.values.items() for job in found]
    headers = ["host", "id", "workspace", "action", "state", "status", "for", "image", "container"]
    ctx.console.table([*headers, "look at"], rows)
    if not rows and result.values:
        ctx.console.say("no jobs")
    ctx.finish(result)


def _cells(job: Any) -> list[object]:
    from opstasks.workflows.status import ago

    elapsed = job.elapsed_s(time.time())
    return [
        job.id,
        job.workspace,
        job.action,
        job.state,
        job.status_code,
        ago(elapsed) if elapsed else "",
        job.image.rpartition("/")[2],
        job.container,
        job.disagreement,
    ]


namespace = Collection("jobs")
namespace.add_task(ls, name="ls")
