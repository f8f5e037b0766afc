"""`jobs.kill`: decide which steps a job needs, and run them with job-runner's own command.

Running jobs are first marked as killed: the service ignores marked jobs. Without the mark, its
loop may work on a job as it read it a while ago. If the container was stopped since, the service
records a failure of the job. If it was removed, the service crashes with an internal error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from opstasks.core.errors import CommandFailed, OpsError, Refused, VerifyFailed
from opstasks.core.hints import one_word
from opstasks.core.state import HostState
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.jobs import job_runner
from opstasks.jobs.find import find_again, find_ids, state_of
from opstasks.jobs.logs import METADATA, METADATA_FILE, MetadataRequest, file_of
from opstasks.jobs.model import Match

MARK = "mark as killed"
KILLED = "killed_by_admin"
# What became of a job.
DONE, ENDED, NOTHING = "killed", "ended first", "nothing to do"
# Seconds between two checks: the service may still have the job in memory, so we check twice.
SETTLE_S = 2.0
KILL_TIMEOUT_S = 20.0
POLL_S = 1.0
# How often to kill a job again. The service may bring it back: it writes whole rows, which it may
# have read before we marked the job.
KILL_AGAIN = 3


# -- deciding --------------------------------------------------------------------------------


@dataclass(frozen=True)
class KillPlan:
    """The steps for killing one job; `steps` is empty when there is nothing to do."""

    match: Match
    steps: tuple[str, ...]


@dataclass(frozen=True)
class KilledJob:
    """A job after a kill. `outcome`: "killed", "ended first" by itself, or "nothing to do"."""

    state: str
    status_code: str
    outcome: str

    def describe(self) -> str:
        """For people: ``failed (killed_by_admin)``."""
        status = f"{self.state} ({self.status_code})"
        if self.outcome == NOTHING:
            return f"nothing to do: {status}"
        return f"{status}: the service ended it first" if self.outcome == ENDED else status


@dataclass(frozen=True)
class KillResult:
    """The outcome for the jobs of one host, by id.

    `exposed` are files that contain the values of variables as plain text, with the variables;
    `unread` are files that may contain some, and why they could not be read.
    """

    changed: bool
    jobs: dict[str, KilledJob]
    exposed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    now: HostState | None = None

    @property
    def killed(self) -> list[str]:
        """The ids of the jobs that were ended or removed."""
        return [id for id, job in self.jobs.items() if job.outcome != NOTHING]


def plan(match: Match, *, cleanup: bool) -> KillPlan:
    """The steps that are still needed to kill a job."""
    steps = []
    if match.job.is_active:
        steps.append(MARK)
    if match.runs:
        steps.append("stop container")
    if match.container and (match.runs or cleanup):
        steps.append("save log")
    if cleanup and match.container:
        steps.append("remove container")
    if cleanup and match.volume:
        steps.append("remove volume")
    return KillPlan(match, tuple(steps))


def check_shown(now: KillPlan, shown: Sequence[str]) -> None:
    """Raise Refused when the job needs steps that the person was not shown.

    A running job may have started a container since: its extra steps are part of the kill.
    """
    match, job = now.match, now.match.job
    more = [step for step in now.steps if step not in shown]
    if not more or (MARK in now.steps and MARK in shown):
        return
    changed = "again" if MARK in more else f"and now needs more steps: {', '.join(more)}"
    raise Refused(
        f"{job.id} is {job.status} {changed}; you did not agree to that",
        host=match.host,
        hint=f"inv -H {match.host} jobs.ls; then run it again; nothing was changed",
    )


def not_killed(match: Match) -> str:
    """Why a job is not killed yet; empty when it is killed."""
    job = match.job
    return f"{job.id} is still {job.status}" if job.is_active else ""


def not_done(now: Match, before: Match, *, cleanup: bool) -> str:
    """What is wrong after a kill; empty when all is well."""
    id = now.job.id
    if not_killed(now):
        return not_killed(now)
    if now.docker_problem:
        return f"{id} is {now.job.status}, but its container is not known: {now.docker_problem}"
    if cleanup and (now.container or now.volume):
        there = (("container", now.container), ("volume", now.volume))
        return f"{id} still has its {' and '.join(what for what, found in there if found)}"
    if now.runs:
        return f"the container of {id} still runs"
    lost = not cleanup and before.volume and not now.volume
    return f"the volume of {id} is gone, although it was to be kept" if lost else ""


def nothing_to_do(matches: Sequence[Match]) -> KillResult:
    """The result for jobs that need no steps."""
    return KillResult(False, {match.job.id: _after(match, NOTHING) for match in matches})


# -- doing it --------------------------------------------------------------------------------


def apply(host: Host, shown: Mapping[str, Sequence[str]], *, cleanup: bool) -> KillResult:
    """Kill jobs of a host; `shown` are the steps that a person agreed to, by id.

    Raises Refused when a job now needs more steps, VerifyFailed when something is wrong after
    the kill.
    """
    ids = list(shown)
    with change(host.service, "jobs.kill", {"jobs": " ".join(ids), "cleanup": str(cleanup)}):
        plans = [plan(match, cleanup=cleanup) for match in find_ids(host, ids)]
        for now in plans:
            check_shown(now, shown[now.match.job.id])
        todo = [now.match for now in plans if now.steps]
        for match in todo:
            job_runner.check_id(match)
        if not todo:
            return nothing_to_do([now.match for now in plans])
        after = _kill(host, todo, cleanup=cleanup)
    jobs = dict(nothing_to_do([now.match for now in plans if not now.steps]).jobs)
    jobs |= {was.job.id: _ended(was, now) for was, now in zip(todo, after, strict=True)}
    return KillResult(True, jobs, *_exposed_secrets(host, after), state_of(after))


def _kill(host: Host, before: Sequence[Match], *, cleanup: bool) -> list[Match]:
    """Kill jobs and wait until all is done; returns the jobs as they are then, in that order."""
    live = [match for match in before if match.job.is_active]
    words = [*map(one_word, _ids(before)), *([] if cleanup else ["--no-cleanup"])]
    hint = f"inv -H {host.name} jobs.kill {' '.join(words)}; it does the rest"
    if live and _mark(host, _ids(live)):
        _wait(host, live, lambda now, _: not_killed(now), lambda ids: _mark(host, ids), hint)
    host.step(f"kill {' '.join(_ids(before))}", brief="killed")
    problem = _run_kill(host, _ids(before), cleanup=cleanup)

    def again(ids: Sequence[str]) -> bool:
        host.step(f"kill {' '.join(ids)} again, the service brought it back")
        return not _run_kill(host, ids, cleanup=cleanup)

    def left(now: Match, was: Match) -> str:
        return not_done(now, was, cleanup=cleanup)

    return _wait(host, before, left, again, hint, problem)


def _mark(host: Host, ids: Sequence[str]) -> bool:
    """Mark jobs as killed; if that fails, job-runner's own command marks them later."""
    host.step(f"mark {' '.join(ids)} as killed", brief="marked")
    return host.service.test(job_runner.mark(host.spec, ids))


def _run_kill(host: Host, ids: Sequence[str], *, cleanup: bool) -> str:
    """Run job-runner's command; returns its last lines when it failed.

    It stops at the first job that it cannot kill: then each job gets a command of its own.
    """
    problem = _run_once(host, ids, cleanup=cleanup)
    if not problem or len(ids) == 1:
        return problem
    return "\n".join(filter(None, (_run_once(host, [id], cleanup=cleanup) for id in ids)))


def _run_once(host: Host, ids: Sequence[str], *, cleanup: bool) -> str:
    try:
        host.service.run(job_runner.kill(host.spec, ids, cleanup=cleanup))
    except CommandFailed as error:
        return error.tail or error.message
    return ""


def _wait(
    host: Host,
    before: Sequence[Match],
    left: Callable[[Match, Match], str],
    again: Callable[[Sequence[str]], bool],
    hint: str,
    problem: str = "",
) -> list[Match]:
    """Wait until two checks in a row find nothing left to do; returns the jobs as they are then.

    `left` says what is left to do for a job; `again` handles jobs that became active again.
    Raises VerifyFailed, at once when there is a `problem` already; Incomplete when the database
    cannot be read.
    """
    tries, wrong, found = KILL_AGAIN, [""], list[Match]()

    def settled() -> list[Match] | None:
        nonlocal tries, wrong, found
        found, wrong = _read(host, before, left, hint)
        if not wrong:
            time.sleep(SETTLE_S)  # also after Ctrl-C: a kill that is nearly done is finished
            found, wrong = _read(host, before, left, hint)
        if not wrong or problem:
            return found
        active = [match.job.id for match in found if match.job.is_active]
        if active and tries and again(active):
            tries -= 1
        return None

    where = f"{' '.join(_ids(before))}: run it again to do the rest"
    done = host.wait_until(settled, timeout_s=KILL_TIMEOUT_S, where=where, every_s=POLL_S)
    if done is None or wrong:
        error = VerifyFailed("; ".join(wrong), host=host.name, tail=problem, hint=hint)
        error.now = state_of(found)
        raise error
    return done


def _read(
    host: Host, before: Sequence[Match], left: Callable[[Match, Match], str], hint: str
) -> tuple[list[Match], list[str]]:
    """The jobs as they are now, and what is left to do."""
    found = find_again(host, _ids(before), hint)
    texts = [left(now, was) for now, was in zip(found, before, strict=True)]
    return found, [text for text in texts if text]


def _ids(found: Sequence[Match]) -> list[str]:
    return [match.job.id for match in found]


def _ended(was: Match, now: Match) -> KilledJob:
    """How a job ended; the service may have recorded its end before we did."""
    quicker = was.job.is_active and now.job.status_code != KILLED
    return _after(now, ENDED if quicker else DONE)


def _after(match: Match, outcome: str) -> KilledJob:
    return KilledJob(match.job.state, match.job.status_code, outcome)


def _exposed_secrets(
    host: Host, after: Sequence[Match]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """The files with secrets, as job-runner saves a killed job's environment unmasked.

    And those that could not be read, with the reason: the jobs are killed all the same.
    """
    paths = [path for match in after if (path := file_of(match, METADATA_FILE))]
    commands = {path: METADATA.command(MetadataRequest(path)) for path in paths}
    exposed: dict[str, tuple[str, ...]] = {}
    unread: dict[str, str] = {}
    try:
        results = host.service.gather(commands) if commands else {}
    except OpsError as error:
        return {}, dict.fromkeys(paths, error.message)
    for path, result in results.items():
        try:
            names = METADATA.decode(result, host.name).exposed
        except OpsError as error:
            unread[path] = error.message
            continue
        if names:
            exposed[path] = names
    return exposed, unread
