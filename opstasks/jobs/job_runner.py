"""job-runner's own commands and functions, run with its environment, as its recipes do.

Only whole ids are passed: job-runner's commands would match a part with any job ever run.
"""

from __future__ import annotations

from collections.abc import Sequence

from opstasks.core.command import Command, cmd
from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.model import Match

_RUN = '. "$1" && cd "$2" && shift 2 && exec python3 "$@"'
# The first step of job-runner's kill_job, without the later steps.
_MARK = """
import sys
from jobrunner.lib.database import find_where
from jobrunner.models import Job, State, StatusCode
from jobrunner.run import mark_job_as_failed

for job in [job for id in sys.argv[1:] for job in find_where(Job, id=id)]:
    if job.state in (State.PENDING, State.RUNNING):
        mark_job_as_failed(job, StatusCode.KILLED_BY_ADMIN, "Killed by an OpenSAFELY admin")
"""
_ASK_JOB_SERVER = (
    "from jobrunner import config; from jobrunner.sync import api_get;"
    ' api_get("job-requests", params={"backend": config.BACKEND})'
)
_TELL_JOB_SERVER = (
    "import sys; from jobrunner.lib.database import find_where; from jobrunner.models import Job;"
    " from jobrunner.sync import api_post, job_to_remote_format;"
    " found = find_where(Job, id=sys.argv[1]);"
    ' api_post("jobs", json=[job_to_remote_format(job) for job in found])'
)
# job-runner's commands ask for confirmation, which we have already: an empty line agrees.
_AGREE = "\n"


def mark(spec: HostSpec, ids: Sequence[str]) -> Command:
    """Mark jobs as killed, and do nothing else to them."""
    return _python(spec, "-c", _MARK, *ids).changing().within(60)


def kill(spec: HostSpec, ids: Sequence[str], *, cleanup: bool) -> Command:
    """Kill jobs one by one; `cleanup` removes their containers and volumes."""
    options = ["--cleanup"] if cleanup else []
    words = ["-m", "jobrunner.cli.kill_job", *options, *ids]
    return _python(spec, *words, agree=True).changing().within(120 + 60 * len(ids))


def retry(spec: HostSpec, id: str) -> Command:
    """Retry a job: job-runner writes its database first, then tells the job-server."""
    return _python(spec, "-m", "jobrunner.cli.retry_job", id, agree=True).changing().within(120)


def ask_job_server(spec: HostSpec) -> Command:
    """Send the job-server a request, to check that it answers job-runner."""
    return _python(spec, "-c", _ASK_JOB_SERVER).within(60)


def tell_job_server(spec: HostSpec, id: str) -> Command:
    """Report a job to the job-server."""
    return _python(spec, "-c", _TELL_JOB_SERVER, id).changing().within(60)


def _python(spec: HostSpec, *words: str, agree: bool = False) -> Command:
    place = (f"{spec.config_dir}/load-env", spec.code_dir)
    stdin = _AGREE if agree else None
    return cmd("bash", "-c", _RUN, "job-runner", *place, *words, stdin=stdin)


def check_id(match: Match) -> None:
    """Raise Refused for an id that job-runner's commands would also match with other jobs."""
    id = match.job.id
    if not (id.isascii() and id.isalnum()) or match.alike:
        raise Refused(
            f"job-runner would match the id {id!r} with other jobs as well",
            host=match.host,
            hint="ask the platform's developers; nothing was changed",
        )
