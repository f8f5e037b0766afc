"""Runs on the host: the jobs that a release must not lose."""

import contextlib
from pathlib import Path

from opstasks.deploy.onhost.database_read import job_ids, open_read_only
from opstasks.deploy.onhost.record import ReleaseSpec, read_record, snapshot_path
from opstasks.onhost.commands import call, required

PREFIX = "os-job-"


def job_containers() -> list[str]:
    """Names of the job containers that are running. Raises HostFailure."""
    words = ("docker", "ps", "--filter", f"name=^{PREFIX}", "--format", "{{.Names}}")
    return sorted(required("docker does not answer", *words).split())


def lost_jobs(spec: ReleaseSpec) -> list[str]:
    """Jobs that are missing: rows gone, or a container gone while its row says running."""
    database = Path(spec["database"])
    missing = job_ids(snapshot_path(spec)) - job_ids(database)
    gone = set(read_record(spec)["containers"]) - set(job_containers())
    with contextlib.closing(open_read_only(database)) as connection:
        for name in sorted(gone):
            row = connection.execute(
                "SELECT state FROM job WHERE id = ?", (name.removeprefix(PREFIX),)
            ).fetchone()
            # A container that ended by itself still exists until the service has handled it.
            exists = call("docker", "inspect", "--format", "{{.State.Status}}", name)
            if row and row[0] == "running" and exists.returncode:
                missing.add(name)
    return sorted(missing)
