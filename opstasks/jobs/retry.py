"""`jobs.retry`: decide whether a job can be retried, and retry it with job-runner's command.

That command first writes the database and then tells the job-server. If it fails in between, the
service continues the job but never reports it. So a file marks the job until the job-server was
told.
"""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.core.command import cmd
from opstasks.core.errors import Refused, VerifyFailed
from opstasks.core.hints import one_word
from opstasks.core.lines import last_line
from opstasks.core.state import HostState
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs import job_runner
from opstasks.jobs.find import find_again, find_ids, state_of
from opstasks.jobs.model import INTERNAL_ERROR, Match
from opstasks.jobs.words import command_for
from opstasks.primitives import systemd
from opstasks.primitives.systemd import UnitState

# job-runner's message for a retried job that its service has not handled yet.
RETRIED = "Re-attempting to extract outputs"
POLL_S = 1.0
# How often to try to tell the job-server, and how long to wait between two tries.
TELLS = 3
TELL_AGAIN_S = 2.0


# -- deciding --------------------------------------------------------------------------------


@dataclass(frozen=True)
class RetryFacts:
    """What a retry depends on, apart from the job.

    `is_untold`: an earlier retry was not reported to the job-server. `job_server_problem` says
    why the job-server does not answer.
    """

    unit: UnitState
    is_untold: bool = False
    job_server_problem: str = ""


@dataclass(frozen=True)
class RetryPlan:
    """What a retry will do; `notes` are for a person to read.

    `only_tell`: the job was retried before; only the job-server must still be told.
    `serving`: the service is up and can continue the job.
    """

    match: Match
    serving: bool
    only_tell: bool = False
    notes: tuple[str, ...] = ()

    @property
    def step(self) -> str:
        """The step, as people read it."""
        if self.only_tell:
            return "tell the job-server"
        return f"retry, from {' '.join(self.match.volume or ())}"


@dataclass(frozen=True)
class RetryResult:
    """The job after the retry; `is_over`: job-runner is done with it. `notes` are for people."""

    changed: bool
    job: str
    state: str
    status_code: str
    is_over: bool
    notes: tuple[str, ...] = ()
    now: HostState | None = None

    def describe(self) -> str:
        """For people: ``abc succeeded``, or its state and that job-runner continues it."""
        if self.is_over:
            code = f" ({self.status_code})" if self.status_code != self.state else ""
            return f"{self.job} {self.state}{code}"
        return f"{self.job} is {self.state} ({self.status_code}), job-runner continues it"


def plan(match: Match, facts: RetryFacts) -> RetryPlan:
    """What a retry will do; raises Refused with the reason when the job cannot be retried."""
    only_tell = facts.is_untold and not _is_internal_error(match)
    if not only_tell:
        check_state(match)
    if facts.job_server_problem:
        raise Refused(
            "the job-server does not answer job-runner, but must be told of a retry",
            host=match.host,
            tail=facts.job_server_problem,
            hint="try again when it does; nothing was changed",
        )
    unit = facts.unit
    note = f"the service is {unit.describe()}: the job will not continue yet"
    serving = unit.is_serving or unit.active == "activating"
    return RetryPlan(match, serving, only_tell, () if unit.is_serving else (note,))


def check_state(match: Match) -> None:
    """Raise Refused with the reason when a job cannot be retried."""
    job, container = match.job, match.container
    again = job.state == "running" and job.status_message == RETRIED
    reason = ""
    if not again and not _is_internal_error(match):
        reason = f"is {job.status}: only internal errors can be retried"
    elif container is None:
        reason = "no longer has a container: request a new run"
    elif container.state == "running":
        reason = "has a container that is still running: wait until it ends"
    elif not match.volume:
        reason = "no longer has a volume: request a new run"
    if reason:
        hint = f"{command_for(match.host, 'jobs.show', job.id)}; nothing was changed"
        raise Refused(f"{job.id} {reason}", host=match.host, hint=hint)


def _is_internal_error(match: Match) -> bool:
    return (match.job.state, match.job.status_code) == ("failed", INTERNAL_ERROR)


# -- doing it --------------------------------------------------------------------------------


def inspect(host: Host, match: Match) -> RetryFacts:
    """What a retry depends on, in one round trip; raises Refused for an ambiguous id."""
    job_runner.check_id(match)
    shown, marked, asked = host.service.batch(
        [
            systemd.show(host.spec.unit),
            cmd("test", "-e", _marker(host.spec, match.job.id)),
            job_runner.ask_job_server(host.spec),
        ]
    )
    problem = last_line(asked.tail()) or f"exit code {asked.code}"
    return RetryFacts(
        systemd.parse_show(host.spec.unit, shown.out),
        is_untold=marked.code == 0,
        job_server_problem=problem if asked.code else "",
    )


def apply(host: Host, id: str, *, wait_s: float) -> RetryResult:
    """Retry a job and wait at most `wait_s` seconds until job-runner is done with it.

    Raises Refused when it cannot be retried, VerifyFailed when it was not, or failed again.
    """
    with change(host.service, "jobs.retry", {"job": id}):
        (match,) = find_ids(host, [id])
        now = plan(match, inspect(host, match))
        if now.only_tell:
            _tell(host, id)
        else:
            _run_retry(host, id)
        after = _wait(host, id, wait_s if now.serving else 0)
    _check_ended(host, after)
    job = after.job
    return RetryResult(
        True, id, job.state, job.status_code, not job.is_active, now.notes, state_of([after])
    )


def _marker(spec: HostSpec, id: str) -> str:
    """A file that exists from the start of a retry until the job-server was told."""
    return f"{untold_folder(spec)}/{id}"


def untold_folder(spec: HostSpec) -> str:
    """The folder of these files; it is missing before the first retry."""
    return f"{spec.state_dir}/untold"


def _run_retry(host: Host, id: str) -> None:
    """Run job-runner's command; raises VerifyFailed when it did not retry the job.

    Raises Refused when the job cannot be marked.
    """
    host.step(f"retry {id}", brief="retried")
    _mark(host, id)
    (result,) = host.service.batch([job_runner.retry(host.spec, id)])
    if result.code:
        (after,) = _read(host, id)
        if after.job.status_code == INTERNAL_ERROR:
            # A mark that stays does no harm: the job still has its internal error.
            host.service.test(cmd("rm", "-f", _marker(host.spec, id)))
            hint = f"inv -H {host.name} jobs.retry {one_word(id)}; once that is fixed"
            raise _failed(host, after, "the job was not retried", result.tail(), hint)
        _tell(host, id)
    else:
        _unmark(host, id)


def _mark(host: Host, id: str) -> None:
    """Mark a job as retried; raises Refused when that is not possible: nothing was touched."""
    folder = untold_folder(host.spec)
    commands = [cmd("mkdir", "-p", folder), cmd("touch", _marker(host.spec, id))]
    for done in host.service.batch(commands):
        if done.code:
            raise Refused(
                f"cannot note in {folder} that the job-server must be told",
                host=host.name,
                tail=done.tail(),
                hint=f"inv -H {host.name} doctor; the job was not retried",
            )


def _unmark(host: Host, id: str) -> None:
    """Remove the mark; raises VerifyFailed when that fails."""
    (done,) = host.service.batch([cmd("rm", "-f", _marker(host.spec, id))])
    if done.code:
        raise VerifyFailed(
            "the job was retried and the job-server was told, but this could not be noted",
            host=host.name,
            tail=done.tail(),
            hint=f"inv -H {host.name} jobs.retry {one_word(id)}; it tells it again",
        )


def _tell(host: Host, id: str) -> None:
    """Report a job to the job-server; raises VerifyFailed when it does not accept the report.

    job-runner itself reports only active jobs, and jobs that the job-server asks for.
    """
    host.step("tell the job-server", brief="told the job-server")
    command = job_runner.tell_job_server(host.spec, id)
    for attempt in range(TELLS):
        host.pause(TELL_AGAIN_S if attempt else 0)
        (result,) = host.service.batch([command])
        if result.code == 0:
            _unmark(host, id)
            return
    raise VerifyFailed(
        "the job was retried, but the job-server was not told",
        host=host.name,
        tail=last_line(result.tail()),
        hint=f"inv -H {host.name} jobs.retry {one_word(id)}; once the job-server answers",
    )


def _wait(host: Host, id: str, wait_s: float) -> Match:
    """Wait until the service is done with the job or time is up; returns the job as it is then."""
    if wait_s:
        host.step("wait until job-runner is done with it", brief="waited", lasts_s=wait_s)
    found: list[Match] = []

    def ended() -> Match | None:
        found[:] = _read(host, id)
        return None if found[0].job.is_active else found[0]

    where = f"{id} was retried, job-runner continues it"
    host.wait_until(ended, timeout_s=wait_s, where=where, every_s=POLL_S)
    return found[0]


def _read(host: Host, id: str) -> list[Match]:
    """The job as it is now; raises Incomplete when the database cannot be read."""
    return find_again(host, [id], f"inv -H {host.name} jobs.show {one_word(id)}")


def _check_ended(host: Host, match: Match) -> None:
    """Raise VerifyFailed when the job ended with an internal error again."""
    if _is_internal_error(match):
        why = f" (docker: {match.docker_problem})" if match.docker_problem else ""
        text = f"{match.job.id} failed again{why}: {match.job.status_message}"
        hint = f"inv -H {host.name} logs --job {one_word(match.job.id)}; fix that, then retry"
        raise _failed(host, match, text, "", hint)


def _failed(host: Host, match: Match, text: str, tail: str, hint: str) -> VerifyFailed:
    """The error for a job that is not as wanted, with its state."""
    error = VerifyFailed(text, host=host.name, tail=tail, hint=hint)
    error.now = state_of([match])
    return error
