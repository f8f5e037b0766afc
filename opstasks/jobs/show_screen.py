"""The screen of `jobs.show`: the answer and what to type next; then output, history, details."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from opstasks.core.clock import Clock
from opstasks.core.formats import size_text, span_text
from opstasks.jobs.details import JobDetails
from opstasks.jobs.model import INTERNAL_ERROR, Container, Job
from opstasks.jobs.words import (
    bytes_text,
    command_for,
    cores_text,
    exit_text,
    problem_of,
    state_part,
)
from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.notes import named_lines, note
from opstasks.output.paragraphs import folded
from opstasks.output.parts import Line, Part, bold, dim, odd, text_of, to_type

# The digits of an image's id that docker shows as well.
SHORT_ID = len("sha256:") + 12


def lines(
    found: JobDetails,
    host: str,
    now: float,
    clock: Clock,
    *,
    printed: Sequence[str] = (),
    width: int = 0,
) -> list[Line]:
    """The screen for a window of a width, 0 for no limit.

    `now` is the host's clock in seconds since the epoch; `printed` are the last lines of output.
    """
    parts = [
        folded(_answer(found, host, now, clock), width),
        folded(_commands(found, host), width),
        list(_output(printed, width)),
        _history(found, now, clock, width),
        named_lines(list(_known(found)), width),
    ]
    return [line for part in parts if part for line in [*part, [""]]][:-1]


# -- the answer --------------------------------------------------------------------------------


def _answer(found: JobDetails, host: str, now: float, clock: Clock) -> Iterator[Line]:
    """State and exit code; why; which job; how long it took."""
    job = found.job
    ended: list[Part] = []
    if found.exit_code is not None:
        oom_killed = found.container is not None and found.container.oom_killed
        ended = [f", exit code {exit_text(found.exit_code, oom_killed=oom_killed)}"]
    state = state_part(job)
    yield [bold(state) if isinstance(state, str) else state, *ended]
    if job.status_message:
        yield [job.status_message]
    yield [f"{host}  {job.id}  {job.workspace} / {job.action}"]
    yield [f"{_took(job, now, clock)}; {clock.now_text}"]
    if job.disagreement:
        yield [odd("! "), problem_of(job)[0]]
    if found.docker_problem:
        yield [odd("! "), f"cannot read the containers: {found.docker_problem}"]
    if found.timeline_problem:
        yield [odd("! "), f"the service's lines are missing: {found.timeline_problem}"]


def _took(job: Job, now: float, clock: Clock) -> str:
    """``ran 12m, until 07:56``, ``runs for 12m``, ``waits for 6m``."""
    if job.completed_at:
        ran = f"ran {span_text(job.elapsed_s(now))}" if job.started_at else "never started"
        return f"{ran}, ended {clock.text(job.completed_at)}"
    if job.started_at:
        return f"runs for {span_text(job.elapsed_s(now))}, since {clock.text(job.started_at)}"
    if job.is_active and job.created_at:
        waits = span_text(max(0.0, now - job.created_at))
        return f"waits for {waits}, since {clock.text(job.created_at)}"
    return f"created {clock.text(job.created_at)}"


# -- what is known -----------------------------------------------------------------------------


def _known(found: JobDetails) -> Iterator[tuple[str, Part]]:
    """Name and value, without empty values."""
    for name, value in (*_of_database(found), *_of_host(found)):
        if text_of(value):
            yield name, value


def _of_database(found: JobDetails) -> Iterator[tuple[str, Part]]:
    yield "cancelled", odd("yes") if found.is_cancelled else ""
    yield "request", found.request
    yield "command", found.command
    yield "repository", found.repository
    yield "commit", found.commit
    yield "database", found.database
    yield "waits for", " ".join(found.waits_for)
    yield "needs", ", ".join(found.needs)
    yield "outputs", _with_levels(found.outputs)
    yield "unmatched", ", ".join(found.unmatched_outputs)


def _with_levels(outputs: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({level})" if level else name for name, level in outputs.items())


def _of_host(found: JobDetails) -> Iterator[tuple[str, Part]]:
    container = found.container
    if container:
        yield "container", f"{container.name} ({container.state})"
        yield "image", f"{container.image} {container.image_id[:SHORT_ID]}".strip()
        yield "limits", _limits(container)
        yield "memory", _memory(container)
    if found.volume:
        yield "volume", f"{found.volume.name} ({found.volume.kind})"
    # All files of a job are in one folder, whose path is long.
    for folder in dict.fromkeys(str(PurePosixPath(file.path).parent) for file in found.logs):
        yield "logs in", folder
    names = [(PurePosixPath(file.path).name, file.size_bytes) for file in found.logs]
    yield "log files", ", ".join(f"{name} ({size_text(size)})" for name, size in names)


def _limits(container: Container) -> str:
    memory = container.memory_limit_bytes
    texts = [cores_text(container.cpu_limit_cores), f"{size_text(memory)} memory" if memory else ""]
    return ", ".join(filter(None, texts)) or "none"


def _memory(container: Container) -> str:
    used, limit = container.memory_bytes, container.memory_limit_bytes
    if used is None:
        return ""
    return bytes_text(used, limit)


# -- its history -------------------------------------------------------------------------------


def _history(found: JobDetails, now: float, clock: Clock, width: int) -> list[Line]:
    """A line for each event, and between two events the time between them."""
    events = [
        (
            clock.text(event.happened_at, with_seconds=True),
            event.happened_at,
            f"{event.name}  {event.text}".strip(),
        )
        for event in found.timeline
    ]
    if found.job.is_active and events:
        events.append((clock.text(now, with_seconds=True), max(now, events[-1][1]), "now"))
    pad = max((len(time) for time, *_ in events), default=0)
    rows: list[Line] = []
    last_at = 0.0
    for time, at, text in events:
        gap_s = at - last_at if last_at else 0
        if gap_s >= 1:
            rows.append([dim(f"{'':{pad}}  |  {span_text(gap_s)}")])
        rows += note(f"{time:{pad}}", text, width)
        last_at = at
    return rows


# -- its output, and what to do ----------------------------------------------------------------


def _output(printed: Sequence[str], width: int) -> Iterator[Line]:
    """The last lines that the job printed."""
    if printed:
        yield [dim("last lines of its output")]
    for text in printed:
        shown = fit.filled(printable(text))
        shown = fit.shortened(shown, width - 4) if width else shown
        yield [dim("  | "), shown.replace(fit.FILLER, "")]


def _commands(found: JobDetails, host: str) -> Iterator[Line]:
    """What a person may want to do now, and the command."""
    commands = [(name, command_for(host, task, found.job.id)) for name, task in _tasks(found)]
    pad = max((len(name) for name, _ in commands), default=0)
    for name, command in commands:
        yield [dim(f"{name:{pad}}  "), to_type(command)]


def _tasks(found: JobDetails) -> Iterator[tuple[str, str]]:
    """A few words, and the task."""
    job = found.job
    if job.disagreement and problem_of(job)[1] != "jobs.show":
        yield "next", problem_of(job)[1]
    if found.container or any(file.path.endswith("/logs.txt") for file in found.logs):
        yield "its output", "jobs.logs"
    if job.state == "running":
        yield "follow it", "jobs.follow"
    if not job.is_active:
        yield "service log", "logs --job"
    if job.status_code == INTERNAL_ERROR and found.volume and found.container:
        yield "retry it", "jobs.retry"
    if job.is_active:
        yield "end it", "jobs.kill"
