"""What interrupted tasks and killed jobs left behind, and the task that removes or finishes it."""

from __future__ import annotations

from collections.abc import Iterator

from opstasks.core.command import Command, cmd
from opstasks.core.hints import one_word
from opstasks.core.lines import lines_of
from opstasks.core.result import Result
from opstasks.doctor.finding import DoctorFinding
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs import retry
from opstasks.jobs.find import is_id
from opstasks.jobs.join import NO_STATE
from opstasks.jobs.model import Job
from opstasks.jobs.read import jobs_answer, jobs_command

# The most jobs that are named.
MOST_JOBS = 20


def commands(spec: HostSpec) -> dict[str, Command]:
    """The commands as the service account."""
    return {
        "jobs": jobs_command(spec, with_docker=True),
        "untold": cmd("ls", "-A", "--", retry.untold_folder(spec)),
    }


def judge(spec: HostSpec, found: dict[str, Result]) -> Iterator[DoctorFinding]:
    """A finding for each job that left something, or one that nothing is left."""
    answer = jobs_answer(found["jobs"], spec.name)
    left = [job for job in answer.joined(orphans=True) if job.left]
    yield from (_left(spec, job) for job in left[:MOST_JOBS])
    yield from _untold(spec, found["untold"])
    if not left:
        # Other checks report a database that cannot be read, and a docker that does not answer.
        problem = answer.problem or answer.docker.problem
        text = f"not known: {problem}" if problem else "left nothing behind"
        yield DoctorFinding("ended jobs", True, text)


def _left(spec: HostSpec, job: Job) -> DoctorFinding:
    name, host = one_word(job.id), f"inv -H {spec.name}"
    if job.state != NO_STATE:
        text = f"{job.left} still there, job is {job.status}"
        return DoctorFinding(f"job {job.id}", False, text, f"{host} jobs.kill {name}")
    hint = f"look at it: {host} run -- docker ps -a"
    if is_id(job.id):  # a host's own words must not get into a hint
        volume = job.volume_name
        script = f"docker rm -f {job.container_name} {volume}-manager; docker volume rm {volume}"
        hint = f"look at it, then: {host} run -- sh -c {one_word(script)}"
    return DoctorFinding(f"job {job.id}", False, job.disagreement, hint)


def _untold(spec: HostSpec, result: Result) -> list[DoctorFinding]:
    """Retries that the job-server was not told of; without a folder, there are none."""
    names = [name for name in lines_of(result.out) if is_id(name)] if not result.code else []
    text = "was retried, but the job-server was not told"
    return [
        DoctorFinding(f"job {id}", False, text, f"inv -H {spec.name} jobs.retry {one_word(id)}")
        for id in names
    ]
