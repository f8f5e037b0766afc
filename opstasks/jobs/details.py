"""What is known about one job: from its match on a host to typed values, which `--json` shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opstasks.jobs.model import Container, Job, LogFile, Match
from opstasks.jobs.show import JobEvent, Timeline


@dataclass(frozen=True)
class JobVolume:
    """A job's volume: `kind` is "volume" with a name of docker, or "bind" with a folder."""

    kind: str
    name: str


@dataclass(frozen=True)
class JobDetails:
    """Everything that is known about one job; None or an empty text for what is not known.

    `exit_code` is how the job's program ended. `waits_for` and `needs` are ids and names of other
    jobs. `outputs` are patterns by name. `docker_problem` and `timeline_problem` say why parts are
    missing.
    """

    job: Job
    exit_code: int | None = None
    container: Container | None = None
    volume: JobVolume | None = None
    logs: tuple[LogFile, ...] = ()
    timeline: tuple[JobEvent, ...] = ()
    request: str = ""
    repository: str = ""
    commit: str = ""
    database: str = ""
    command: str = ""
    is_cancelled: bool = False
    waits_for: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    outputs: dict[str, str] = field(default_factory=dict)
    unmatched_outputs: tuple[str, ...] = ()
    docker_problem: str = ""
    timeline_problem: str = ""


def details(match: Match, timeline: Timeline) -> JobDetails:
    """The values of a match; a row of the database may have values of any type."""
    row = match.row
    volume = JobVolume(*match.volume) if match.volume else None
    return JobDetails(
        job=match.job,
        exit_code=match.exit_code,
        container=match.container,
        volume=volume,
        logs=match.logs,
        timeline=timeline.events,
        request=_text(row.get("job_request_id")),
        repository=_text(row.get("repo_url")),
        commit=_text(row.get("commit")),
        database=_text(row.get("database_name")),
        command=_text(row.get("run_command")),
        is_cancelled=bool(row.get("cancelled")),
        waits_for=tuple(_listed(row.get("wait_for_job_ids"))),
        needs=tuple(_listed(row.get("requires_outputs_from"))),
        outputs=_listed(row.get("outputs")),
        unmatched_outputs=tuple(_listed(row.get("unmatched_outputs"))),
        docker_problem=match.docker_problem,
        timeline_problem=timeline.missing,
    )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _listed(value: object) -> dict[str, str]:
    """A JSON list or object of job-runner, as names with values; a list has empty values.

    Text that is no JSON is one name.
    """
    try:
        found: Any = json.loads(str(value or "null"))
    except (ValueError, RecursionError):
        return {str(value): ""}
    if isinstance(found, Mapping):
        return {str(name): _text(level) for name, level in found.items()}
    if isinstance(found, list):
        return dict.fromkeys(map(str, found), "")
    return {} if found is None else {str(value): ""}
