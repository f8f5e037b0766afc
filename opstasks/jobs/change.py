"""Killing and retrying jobs, by job-runner's own commands (playbook: "Retrying", "Killing").

Exactly one id each is handed on, whole, after a look: those commands match parts of ids in all
of history. Their question is answered after ours, and what they did is verified by a read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from opstasks.core.command import Command, cmd
from opstasks.core.errors import CommandFailed, Refused, VerifyFailed
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs import find as jobs
from opstasks.jobs import logs as jobs_logs
from opstasks.jobs.model import Match
from opstasks.primitives import systemd

MARK = "mark as killed"
KILLED, INTERNAL_ERROR = "killed_by_admin", "internal_error"
# job-runner's words for a job that was retried and that its service has not looked at since.
RETRIED = "Re-attempting to extract outputs"
# The service may have held the job in its hands: look twice, so far apart.
SETTLE_S = 2.0
KILL_WITHIN_S = 20.0
# How often a job is killed again that the service brought back: it writes whole rows, as it read
# them before.
KILL_AGAIN = 3
POLL_S = 1.0
_RUN = '. "$1" && cd "$2" && shift 2 && exec python3 "$@"'
# How often the job-server is told, when job-runner's own command could not.
TELLS = 3
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
# What job-runner's kill_job begins with, apart from the rest of it.
_MARK = """
import sys
from jobrunner.lib.database import find_where
from jobrunner.models import Job, State, StatusCode
from jobrunner.run import mark_job_as_failed

for job in [job for id in sys.argv[1:] for job in find_where(Job, id=id)]:
    if job.state in (State.PENDING, State.RUNNING):
        mark_job_as_failed(job, StatusCode.KILLED_BY_ADMIN, "Killed by an OpenSAFELY admin")
"""


def job_runner(spec: HostSpec, *words: str, answer: str | None = None) -> Command:
    """Run Python with job-runner's environment, as its recipes do; `answer` is one line."""
    place = (f"{spec.config_dir}/load-env", spec.code_dir)
    stdin = None if answer is None else f"{answer}\n"
    return cmd("bash", "-c", _RUN, "job-runner", *place, *words, stdin=stdin)


def check_id(match: Match) -> None:
    """Raise Refused for an id that job-runner's commands would take for something else."""
    id = match.job.id
    if not (id.isascii() and id.isalnum()) or match.row.get("alike"):
        raise Refused(
            f"the id {id!r} is no whole, unmistakable job id: job-runner would match others",
            host=match.host,
            hint="ask the platform's developers; nothing was changed",
        )


# -- kill ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kill:
    """What killing one job comes to; `steps` is empty when there is nothing to do."""

    match: Match
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of the jobs of one host: by id, for people."""

    changed: bool
    jobs: dict[str, str]
    notes: tuple[str, ...] = ()


def plan_kill(match: Match, *, cleanup: bool) -> Kill:
    """What is still to be done about a job that is to be killed."""
    container, runs = match.container, _runs(match)
    steps = []
    if match.job.is_active:
        steps.append(MARK)
    if runs:
        steps.append("stop container")
    if container and (runs or cleanup):
        steps.append("save log")
    if cleanup and container:
        steps.append("remove container")
    if cleanup and match.volume:
        steps.append("remove volume")
    return Kill(match, tuple(steps))


def _runs(match: Match) -> bool:
    container = match.container
    return container is not None and container.state in ("running", "paused", "restarting")


def kill(host: Host, shown: Mapping[str, Sequence[str]], *, cleanup: bool) -> Outcome:
    """Kill jobs of a host, of which these steps were shown.

    Raises Refused when it would now come to more, VerifyFailed when a job is not as it should be
    afterwards.
    """
    ids = list(shown)
    with change(host.service, "jobs.kill", {"jobs": " ".join(ids), "cleanup": str(cleanup)}):
        plans = [plan_kill(match, cleanup=cleanup) for match in jobs.by_ids(host, ids)]
        todo = [plan.match for plan in plans if plan.steps]
        for plan in plans:
            _check_shown(plan, shown[plan.match.job.id])
        for match in todo:
            check_id(match)
        if not todo:
            return nothing([plan.match for plan in plans])
        after = _killed(host, todo, cleanup=cleanup)
    said = dict(nothing([plan.match for plan in plans if not plan.steps]).jobs)
    said |= {was.job.id: _ended(was, now) for was, now in zip(todo, after, strict=True)}
    return Outcome(True, said, _exposed(host, after))


def _check_shown(plan: Kill, shown: Sequence[str]) -> None:
    """Raise Refused for a job that came to life, or left more behind, after the question.

    What a job that is to be killed has begun meanwhile is part of killing it.
    """
    job, more = plan.match.job, [step for step in plan.steps if step not in shown]
    if not more or (MARK in plan.steps and MARK in shown):
        return
    now = "again" if MARK in more else f"and would now come to {', '.join(more)} as well"
    raise Refused(
        f"{job.id} is {job.state} ({job.status_code}) {now}: you were not asked that",
        host=plan.match.host,
        hint="look again with `jobs.ls`; nothing was changed",
    )


def nothing(found: Sequence[Match]) -> Outcome:
    """What to say of jobs of a host that nothing is left to be done about."""
    return Outcome(
        False,
        {m.job.id: f"nothing to do: {m.job.state} ({m.job.status_code})" for m in found},
    )


def _run_kill(host: Host, ids: Sequence[str], *, cleanup: bool) -> str:
    """Run job-runner's command; what it said when it failed. It goes from job to job."""
    words = ["-m", "jobrunner.cli.kill_job", *(["--cleanup"] if cleanup else []), *ids]
    command = job_runner(host.spec, *words, answer="").changing().within(120 + 60 * len(ids))
    try:
        host.service.run(command)
    except CommandFailed as error:
        return error.tail or error.message
    return ""


def _killed(host: Host, before: Sequence[Match], *, cleanup: bool) -> list[Match]:
    """Kill jobs and wait until nothing is left to be done; the jobs afterwards, in that order.

    Running jobs are marked first. The service's loop goes through jobs as it read them a while
    ago: ended under its hands, a job would end as one that failed by itself, and removed under
    its hands it is an internal error that takes the service down. What is marked it lets go.
    """
    live = [match for match in before if match.job.is_active]
    if live and _mark(host, _ids(live)):
        _settled(host, live, lambda now, _: _active(now), lambda ids: _mark(host, ids))
    host.step(f"kill {' '.join(_ids(before))}")
    done = _run_kill(host, _ids(before), cleanup=cleanup)

    def left(now: Match, was: Match) -> str:
        return _active(now) or _left(now, was, cleanup=cleanup)

    def again(ids: Sequence[str]) -> bool:
        host.step(f"kill {' '.join(ids)} again, the service took it up once more")
        return not _run_kill(host, ids, cleanup=cleanup)

    return _settled(host, before, left, again, problem=done)


def _settled(
    host: Host,
    before: Sequence[Match],
    left: Callable[[Match, Match], str],
    again: Callable[[Sequence[str]], bool],
    problem: str = "",
) -> list[Match]:
    """Wait until nothing is left to be done about any job, twice in a row; the jobs then.

    What became active once more is done `again`. Raises VerifyFailed.
    """
    deadline, good, tries = time.monotonic() + KILL_WITHIN_S, 0, KILL_AGAIN
    while True:
        now = jobs.by_ids(host, _ids(before))
        wrong = [text for i, was in zip(now, before, strict=True) if (text := left(i, was))]
        good = 0 if wrong else good + 1
        if good == 2:
            return now
        if wrong and (problem or time.monotonic() > deadline):
            raise VerifyFailed(
                "; ".join(wrong),
                host=host.name,
                tail=problem,
                hint="run it again: it does what is left; `jobs.show` has more",
            )
        back = [match for match in now if match.job.is_active]
        if back and tries and again(_ids(back)):
            tries -= 1
        time.sleep(SETTLE_S if good else POLL_S)


def _ids(found: Sequence[Match]) -> list[str]:
    return [match.job.id for match in found]


def _mark(host: Host, ids: Sequence[str]) -> bool:
    """Mark jobs as killed; where that fails, job-runner's own command marks them after all."""
    host.step(f"mark {' '.join(ids)} as killed")
    command = job_runner(host.spec, "-c", _MARK, *ids).changing().within(60)
    return host.service.batch([command])[0].code == 0


def _active(match: Match) -> str:
    job = match.job
    return f"{job.id} is still {job.state} ({job.status_code})" if job.is_active else ""


def _left(match: Match, was: Match, *, cleanup: bool) -> str:
    """What is not as it should be after a kill; empty when all is well."""
    id, container = match.job.id, match.container
    if cleanup and (container or match.volume):
        what = " and ".join(w for w, x in (("container", container), ("volume", match.volume)) if x)
        return f"{id} still has its {what}"
    if _runs(match):
        return f"the container of {id} still runs"
    kept = not cleanup and was.volume and not match.volume
    return f"the volume of {id} is gone, though it was to be kept" if kept else ""


def _ended(was: Match, now: Match) -> str:
    """How a job ended, for people; the service may have noted its end before we did."""
    text = f"{now.job.state} ({now.job.status_code})"
    quicker = was.job.is_active and now.job.status_code != KILLED
    return f"{text}: the service ended it first" if quicker else text


def _exposed(host: Host, after: Sequence[Match]) -> tuple[str, ...]:
    """job-runner saves a killed job's environment as it is: say where a secret lies now."""
    paths = [path for match in after if (path := jobs_logs.file_of(match, jobs_logs.METADATA))]
    notes = []
    for path, result in zip(
        paths, host.service.batch([jobs_logs.metadata_command(p) for p in paths]), strict=True
    ):
        names = json.loads(result.out).get("exposed") if result.code == 0 else None
        if names:
            notes.append(f"{path} holds the value of {', '.join(names)} as plain text")
    return tuple(notes)


# -- retry -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Readiness:
    """What was looked at before a retry; `notes` are for a person to read.

    `untold`: it was retried already, and what is left is to tell the job-server.
    """

    match: Match
    serving: bool
    untold: bool = False
    notes: tuple[str, ...] = ()

    @property
    def step(self) -> str:
        """What is to be done, for people."""
        return (
            "tell the job-server" if self.untold else f"retry, from {' '.join(self.match.volume)}"
        )


def check_retry(host: Host, match: Match) -> Readiness:
    """Whether a job can be retried; raises Refused with the reason when not."""
    check_id(match)
    shown, marked, asked = host.service.batch(
        [
            systemd.show(host.spec.unit),
            cmd("test", "-e", _marker(host.spec, match.job.id)),
            job_runner(host.spec, "-c", _ASK_JOB_SERVER).within(60),
        ]
    )
    again = (match.job.state, match.job.status_code) == ("failed", INTERNAL_ERROR)
    untold = marked.code == 0 and not again
    if not untold:
        _check_state(match)
    if asked.code:
        raise Refused(
            "the job-server does not answer job-runner, and it has to be told",
            host=host.name,
            tail="\n".join(asked.tail().splitlines()[-1:]),
            hint="try again when it does; nothing was changed",
        )
    unit = systemd.parse_show(host.spec.unit, shown.out)
    notes = [] if unit.is_serving else [f"the service is {unit.describe()}: nothing goes on yet"]
    serving = unit.is_serving or unit.active == "activating"
    return Readiness(match, serving, untold, tuple(notes))


def _marker(spec: HostSpec, id: str) -> str:
    """A file that is there from before a retry until the job-server knows of it."""
    return f"{spec.state_dir}/untold/{id}"


def _check_state(match: Match) -> None:
    job, container = match.job, match.container
    again = job.state == "running" and job.status_message == RETRIED
    reason = ""
    if not again and (job.state, job.status_code) != ("failed", INTERNAL_ERROR):
        reason = f"is {job.state} ({job.status_code}): only internal errors can be retried"
    elif container is None:
        reason = "has no container any more: it has to be run anew"
    elif container.state == "running":
        reason = "has a container that still runs: wait until it ends"
    elif not match.volume:
        reason = "has no volume any more: it has to be run anew"
    if reason:
        hint = f"jobs.show {job.id}; nothing was changed"
        raise Refused(f"{job.id} {reason}", host=match.host, hint=hint)


def retry(host: Host, id: str, *, wait_s: float) -> Outcome:
    """Retry a job and see it taken up; raises VerifyFailed when it was not, or failed again."""
    with change(host.service, "jobs.retry", {"job": id}):
        (match,) = jobs.by_ids(host, [id])
        ready = check_retry(host, match)
        if ready.untold:
            _tell(host, id)
        else:
            _run_retry(host, id)
        if ready.serving:
            host.step(f"wait for job-runner to take it up, {wait_s:g} s at most")
        after = _taken_up(host, id, wait_s if ready.serving else 0)
    return Outcome(True, {id: _retried(host, after)}, ready.notes)


def _run_retry(host: Host, id: str) -> None:
    """Run job-runner's command. It changes its database first and tells the job-server then."""
    host.step(f"retry {id}")
    marker = _marker(host.spec, id)
    words = ("-m", "jobrunner.cli.retry_job", id)
    *_, result = host.service.batch(
        [
            cmd("mkdir", "-p", f"{host.spec.state_dir}/untold"),
            cmd("touch", marker),
            job_runner(host.spec, *words, answer="").changing().within(120),
        ]
    )
    if result.code:
        (after,) = jobs.by_ids(host, [id])
        if after.job.status_code == INTERNAL_ERROR:
            host.service.run(cmd("rm", "-f", marker))
            raise VerifyFailed(
                "the job was not retried",
                host=host.name,
                tail=result.tail(),
                hint=f"inv -H {host.name} jobs.retry {id}, once that is mended",
            )
        _tell(host, id)
    host.service.run(cmd("rm", "-f", marker))


def _tell(host: Host, id: str) -> None:
    """Tell the job-server how a job stands; raises VerifyFailed when it does not listen.

    job-runner itself reports only jobs that are active, or that the job-server asks for.
    """
    host.step("tell the job-server")
    command = job_runner(host.spec, "-c", _TELL_JOB_SERVER, id).changing().within(60)
    for attempt in range(TELLS):
        host.pause(SETTLE_S if attempt else 0)
        (result,) = host.service.batch([command])
        if result.code == 0:
            host.service.run(cmd("rm", "-f", _marker(host.spec, id)))
            return
    raise VerifyFailed(
        "the job was retried and goes on, but the job-server was not told",
        host=host.name,
        tail="\n".join(result.tail().splitlines()[-1:]),
        hint=f"inv -H {host.name} jobs.retry {id}, once the job-server listens: it tells it then",
    )


def _taken_up(host: Host, id: str, wait_s: float) -> Match:
    """Wait until the service has done with the job, or the time is over."""
    deadline = time.monotonic() + wait_s
    while True:
        (now,) = jobs.by_ids(host, [id])
        if not now.job.is_active or time.monotonic() > deadline:
            return now
        host.checkpoint(f"{id} was retried, job-runner goes on with it")
        host.pause(POLL_S)


def _retried(host: Host, match: Match) -> str:
    job = match.job
    if job.state == "failed" and job.status_code == INTERNAL_ERROR:
        raise VerifyFailed(
            f"{job.id} failed again: {job.status_message}",
            host=host.name,
            hint=f"inv -H {host.name} logs --job {job.id}; mend that, then retry",
        )
    return f"{job.state} ({job.status_code})"
