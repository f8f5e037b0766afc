"""What `jobs.kill` and `jobs.retry` show: the plan, and what became of the jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from opstasks.core.formats import first_names, plural, span_text
from opstasks.jobs.kill import KillPlan, KillResult
from opstasks.jobs.model import Match
from opstasks.jobs.retry import RetryResult
from opstasks.jobs.words import command_for, state_part
from opstasks.output.parts import Line, odd, to_type
from opstasks.output.summary import Told
from opstasks.output.table import Column

# So many jobs with the same steps are named.
NAMED = 3
PLAN_COLUMNS = (
    Column("HOST"),
    Column("JOB"),
    Column("WORKSPACE / ACTION", long="clip", least=18),
    Column("STATE", long="clip", least=9),
    Column("FOR", rank=1, is_right=True),
)
RESULT_COLUMNS = (Column("HOST"), Column("JOB"), Column("NOW", long="wrap", least=16))


def plan_rows(matches: Iterable[Match]) -> list[list[object]]:
    """A row for each job; ids are whole, because a person agrees to exactly these."""
    return [
        [
            match.host,
            match.job.id,
            f"{match.job.workspace} / {match.job.action}",
            state_part(match.job),
            span_text(match.job.elapsed_s(match.now)) if match.job.started_at else "",
        ]
        for match in matches
    ]


def step_lines(planned: Iterable[tuple[Match, Sequence[str]]]) -> Iterator[Line]:
    """The steps: once where they are the same for all jobs, or for each group of jobs."""
    groups: dict[Sequence[str], list[str]] = {}
    for match, steps in planned:
        groups.setdefault(tuple(steps), []).append(match.job.id)
    for steps, ids in groups.items():
        whose = "steps" if len(groups) == 1 else first_names(ids, NAMED)
        yield [f"{whose}: {', '.join(steps) or 'nothing to do'}"]


def kill_headline(plans: Sequence[KillPlan], *, cleanup: bool) -> str:
    """What is going to happen: ``1 job to kill, 1 with nothing to do``."""
    count = sum(bool(item.steps) for item in plans)
    idle = len(plans) - count
    if not count:
        return "nothing to do"
    kept = "" if cleanup else "; containers and volumes are kept"
    return f"{plural(count, 'job')} to kill{f', {idle} with nothing to do' if idle else ''}{kept}"


def kill_warning(plans: Sequence[KillPlan]) -> list[Line]:
    """What cannot be undone."""
    if any(item.match.job.is_active for item in plans):
        return [["This cannot be undone: run a job again from the job-server."]]
    return []


def kill_told() -> Told[KillResult]:
    """The end of a kill; there is no undo."""
    return Told(
        host=_killed_text,
        whole=lambda count: f"Killed on {plural(count, 'host')}",
    )


def _killed_text(result: KillResult) -> str:
    jobs = [f"{id} {job.describe()}" for id, job in result.jobs.items()]
    return jobs[0] if len(jobs) == 1 else f"{plural(len(result.killed), 'job')} killed"


def killed_rows(found: Mapping[str, KillResult]) -> list[Sequence[object]]:
    """A row for each job of the hosts with several jobs; the line of a host says it of one job."""
    several = {host: done.jobs for host, done in found.items() if len(done.jobs) > 1}
    return [
        (host, id, job.describe()) for host, jobs in several.items() for id, job in jobs.items()
    ]


def killed_notes(found: Mapping[str, KillResult], *, cleanup: bool) -> Iterator[Line]:
    """Secrets that job-runner wrote; and how to remove later what was kept."""
    for host, done in found.items():
        for path, names in done.exposed.items():
            yield [odd("! "), f"{host}: the value of {', '.join(names)} is plain text in"]
            yield [f"  {path}"]
        for path, why in done.unread.items():
            yield [odd("! "), f"{host}: whether secrets are plain text is not known ({why}) in"]
            yield [f"  {path}"]
        if not cleanup and done.killed:
            yield ["remove later:  ", to_type(command_for(host, "jobs.kill", *done.killed))]


def retry_told() -> Told[RetryResult]:
    """The end of a retry; there is no undo."""
    return Told(host=RetryResult.describe, whole=lambda count: "Retried 1 job")


def retried_notes(host: str, done: RetryResult) -> Iterator[Line]:
    """How to see what becomes of a job that is not over."""
    if not done.is_over:
        yield ["next:  ", to_type(command_for(host, "jobs.show", done.job))]
