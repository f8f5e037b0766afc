"""`jobs.show`: everything that is known about one job, and its history."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from opstasks.core.errors import (
    CommandFailed,
    InvalidResponse,
    ProgramFailed,
    Refused,
    TimedOut,
)
from opstasks.core.formats import clock_text, day_text, size_text, span_text
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.model import Job, Match
from opstasks.primitives import journal

DAY_S = 86400
JOURNAL_TIMEOUT_S = 20
# The atomic group (?>...) keeps it linear: a line may repeat what the group looks for.
_STATUS_LINE = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\dT[\d:.]+[+-]\d{4}) (?>.*?Z \w+ +)(?P<message>.*?) "
    r"status=StatusCode\.(?P<code>\w+) "
)


@dataclass(frozen=True)
class JobEvent:
    """One event in a job's history: `at` in seconds since the epoch."""

    at: float
    name: str
    text: str = ""


@dataclass(frozen=True)
class Timeline:
    """A job's history; `missing` says why it lacks the service's own lines."""

    events: tuple[JobEvent, ...]
    missing: str = ""


def read_timeline(host: Host, match: Match) -> Timeline:
    """A job's history, with the service's lines from a day before it to a day after it."""
    request = records_request(host.spec, match.job)
    lines: tuple[str, ...] = ()
    missing = ""
    try:
        lines = host.service.call(journal.RECORDS, request, timeout_s=JOURNAL_TIMEOUT_S).lines
    except TimedOut:
        missing = f"the journal took more than {JOURNAL_TIMEOUT_S} s"
    except (Refused, ProgramFailed, CommandFailed, InvalidResponse) as error:
        missing = f"the journal cannot be read: {error.tail or error.message}"
    return Timeline(events(match, statuses(lines)), missing)


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
    last_at = max(job.completed_at, *(event.at for event in reached), 0)
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
    return tuple(sorted((e for e in found if e.at and e.name), key=lambda event: event.at))


# -- as text ---------------------------------------------------------------------------------


def known(match: Match) -> Iterator[tuple[str, str]]:
    """What is known about a job: name and value of each line, without empty values."""
    for name, value in (*_of_database(match), *_of_host(match)):
        if value not in (None, ""):
            yield name, str(value)


def _of_database(match: Match) -> Iterator[tuple[str, object]]:
    job, row = match.job, match.row
    yield "host", match.host
    yield "job", job.id
    yield "request", row.get("job_request_id")
    yield "workspace", job.workspace
    yield "action", job.action
    yield "state", job.status
    yield "message", job.status_message
    yield "problem", job.disagreement
    yield "cancelled", bool(row.get("cancelled")) or None
    yield "command", row.get("run_command")
    yield "repository", row.get("repo_url")
    yield "commit", row.get("commit")
    yield "database", row.get("database_name")
    yield "waits for", _listed(row.get("wait_for_job_ids"))
    yield "needs", _listed(row.get("requires_outputs_from"))
    yield "outputs", _listed(row.get("outputs"))
    yield "unmatched outputs", _listed(row.get("unmatched_outputs"))


def _of_host(match: Match) -> Iterator[tuple[str, object]]:
    container = match.container
    if container:
        limits = f"{container.cpus:g} cpu(s), {size_text(container.memory_bytes)} memory"
        yield "container", f"{container.name}, {container.state}"
        yield "image", f"{container.image} {container.image_id[:19]}"
        yield "limits", limits
        yield "exit code", None if container.state == "running" else container.exit_code
    yield "volume", " ".join(match.volume or ())
    for file in match.logs:
        yield "log file", f"{file.path} ({size_text(file.size_bytes)})"


def _listed(value: object) -> str:
    """A JSON list or mapping of job-runner as text for people; other values unchanged."""
    try:
        found = json.loads(str(value or "null"))
    except (ValueError, RecursionError):
        return str(value)
    if isinstance(found, dict):
        found = [f"{name} ({level})" for name, level in found.items()]
    if isinstance(found, list):
        return ", ".join(map(str, found))
    return "" if found is None else str(value)


def drawn(found: Sequence[JobEvent], match: Match) -> Iterator[str]:
    """A job's history as lines: a dot for each event, and the time between events."""
    last_at = 0.0
    for event in found:
        gap_s = event.at - last_at if last_at else 0
        if gap_s >= 1:
            yield f"{'':19}  |  {span_text(gap_s)}"
        text = f"  {event.text}" if event.text else ""
        yield f"{clock_text(event.at)}  o  {event.name}{text}"
        last_at = event.at
    if match.job.is_active and last_at:
        yield f"{'':19}  |  {span_text(max(0.0, match.now - last_at))}"
        yield f"{clock_text(match.now)}  .  now"
