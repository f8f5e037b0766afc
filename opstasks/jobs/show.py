"""`jobs.show`: everything that is known about one job, and its history."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from opstasks.core.command import Command
from opstasks.core.errors import (
    CommandFailed,
    InvalidResponse,
    ProgramFailed,
    Refused,
    TimedOut,
    TooMuchOutput,
)
from opstasks.core.formats import day_text
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.logs import LogSource, end_command, end_lines, source
from opstasks.jobs.model import Job, Match
from opstasks.primitives import journal

DAY_S = 86400
JOURNAL_TIMEOUT_S = 20
# So many lines of a job's output are shown.
LAST_LINES = 10
# The atomic group (?>...) keeps it linear: a line may repeat what the group looks for.
_STATUS_LINE = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\dT[\d:.]+[+-]\d{4}) (?>.*?Z \w+ +)(?P<message>.*?) "
    r"status=StatusCode\.(?P<code>\w+) "
)


@dataclass(frozen=True)
class JobEvent:
    """One event in a job's history; `happened_at` is in seconds since the epoch."""

    happened_at: float
    name: str
    text: str = ""


@dataclass(frozen=True)
class Timeline:
    """A job's history; `missing` says why it lacks the service's own lines."""

    events: tuple[JobEvent, ...]
    missing: str = ""


def read_more(host: Host, match: Match, *, with_output: bool) -> tuple[Timeline, tuple[str, ...]]:
    """A job's history and, `with_output`, the last lines that it printed, in one round trip.

    The history has the service's lines from a day before the job to a day after it. What cannot be
    read is left out; the timeline says why.
    """
    request = records_request(host.spec, match.job)
    records = journal.RECORDS.command(request, timeout_s=JOURNAL_TIMEOUT_S)
    commands: dict[str, Command] = {"records": records}
    if with_output and (where := _source(match)):
        commands["output"] = end_command(where, LAST_LINES)
    lines: tuple[str, ...] = ()
    printed: tuple[str, ...] = ()
    missing = ""
    try:
        found = host.service.gather(commands)
        if "output" in found and found["output"].code == 0:
            printed = end_lines(found["output"].out, match.job.id, LAST_LINES)
        answer = journal.RECORDS.decode(found["records"], host.name, timeout_s=JOURNAL_TIMEOUT_S)
        lines = answer.lines
    except TimedOut:
        missing = f"the journal took more than {JOURNAL_TIMEOUT_S} s"
    except (Refused, ProgramFailed, CommandFailed, InvalidResponse, TooMuchOutput) as error:
        missing = f"the journal cannot be read: {error.tail or error.message}"
    return Timeline(events(match, statuses(lines)), missing), printed


def _source(match: Match) -> LogSource | None:
    """Where the job's output is; None if it has none."""
    try:
        return source(match)
    except Refused:
        return None


def records_request(spec: HostSpec, job: Job) -> journal.JournalRequest:
    """The request for the service's records about a job."""
    return journal.unit_records(
        spec.unit,
        f"id={job.id}",
        since_time=day_text(max(DAY_S, job.created_at - DAY_S)),
        until_at=job.completed_at + DAY_S if job.completed_at else 0,
    )


def statuses(lines: Iterable[str]) -> tuple[JobEvent, ...]:
    """When a job reached each status, from the service's lines about it."""
    found = []
    last = ""
    for line in lines:
        match = _STATUS_LINE.match(line)
        # "State change" lines contain the previous status.
        if not match or match["message"].startswith("State change"):
            continue
        code, at = match["code"].lower(), _seconds(match["time"])
        if code != last and at:
            found.append(JobEvent(at, code, match["message"]))
        last = code
    return tuple(found)


def _seconds(text: str) -> float:
    """The journal's time in seconds since the epoch; 0 when it is not a valid time."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
    except (ValueError, OverflowError):
        return 0.0


def events(match: Match, reached: Sequence[JobEvent] = ()) -> tuple[JobEvent, ...]:
    """A job's history by time: from the database, docker and the statuses that it `reached`."""
    job, container = match.job, match.container
    # The database rounds to seconds; the last status was reached when the job completed.
    last_at = max(job.completed_at, *(event.happened_at for event in reached), 0)
    completed_at = last_at if job.completed_at else 0
    found = [
        JobEvent(job.created_at, "created"),
        JobEvent(job.started_at, "started"),
        *reached,
        JobEvent(completed_at, "completed", f"{job.state}: {job.status_message}"),
    ]
    if container:
        exit_text = f"exit code {container.exit_code}"
        exit_text += ", out of memory" if container.oom_killed else ""
        found += [
            JobEvent(container.started_at, "container started"),
            JobEvent(container.finished_at, "container ended", exit_text),
        ]
    if not job.completed_at and job.status_code not in {event.name for event in reached}:
        found.append(JobEvent(job.updated_at, job.status_code, job.status_message))
    return tuple(
        sorted((e for e in found if e.happened_at and e.name), key=lambda event: event.happened_at)
    )
