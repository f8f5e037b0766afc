"""`jobs`: what runs where, and what became of it (playbook: "Debugging jobs")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from invoke import Collection, task

from opstasks.cli.app import Context
from opstasks.core.formats import clock_text, size_text, span_text
from opstasks.jobs import change_tasks as jobs_change
from opstasks.jobs import finding, host_tasks
from opstasks.jobs import logs_tasks as jobs_logs
from opstasks.jobs import tools_tasks as jobs_tools

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.fleet.host import Host
    from opstasks.jobs.find import Moment
    from opstasks.jobs.model import Job, Match, Selection
    from opstasks.output.stream import Source

TABLE_ROWS = 50
HEADERS = (
    "host",
    "id",
    "workspace",
    "action",
    "state",
    "status",
    "since",
    "for",
    "image",
    "cpus",
    "memory",
    "container",
    "look at",
)


@task(
    help={
        "all": "Every job, not only the running ones; newest first.",
        "state": "Only jobs in this state: pending, running, failed or succeeded.",
        "workspace": "Only jobs of this workspace.",
        "since": "Jobs created or completed since then: 90s, 2h, 7d or '2026-11-24 10:00' (UTC).",
        "limit": "How many jobs of each host at most, 0 for all (default: 50; with --json all).",
        "watch": "Show it again and again in the same place, until Ctrl-C.",
        "every": "With --watch: how many seconds between.",
    },
    auto_shortflags=False,
)
def ls(
    ctx: Context,
    all: bool = False,
    state: str = "",
    workspace: str = "",
    since: str = "",
    limit: int = -1,
    watch: bool = False,
    every: float = 2.0,
) -> None:
    """List jobs, what the database and docker know of them joined; disagreements are flagged.

    Example: inv -H all jobs.ls --state failed --since 2d
    """
    from opstasks.jobs import find as workflow
    from opstasks.output import screen

    selection = workflow.select(state, workspace, since, everything=all)
    rows = TABLE_ROWS if limit < 0 else limit
    if watch:
        screen.watch(lambda: _listing(ctx, selection, rows)[0], every, as_json=ctx.options.json)
        return
    if ctx.options.json:
        _stream(ctx, selection, max(0, limit))
        return
    text, result = _listing(ctx, selection, rows)
    if result.values:
        ctx.console.say(text)
    ctx.console.problems(result)
    ctx.end(result)


def _listing(ctx: Context, selection: Selection, limit: int) -> tuple[str, Any]:
    """The table as text, and what became of the hosts."""
    from opstasks.jobs import find as workflow
    from opstasks.output.console import printable, table_text

    result = ctx.fleet.gather(lambda host: workflow.listing(host, selection, limit))
    rows = [
        [host, *_cells(job, found.now)]
        for host, found in result.values.items()
        for job in found.jobs
    ]
    lines = [table_text(HEADERS, rows) or "no jobs"] if result.values else []
    for host, found in result.values.items():
        if limit and len([job for job in found.jobs if job.state != "?"]) >= limit:
            lines.append(f"{host}: the newest {limit}; --limit 0 for all")
        if found.docker_error:
            lines.append(f"{host}: containers are not known: {printable(found.docker_error)}")
    result.findings = any(found.docker_error for found in result.values.values())
    lines += [f"{item.host}: {item.outcome}" for item in result if not item.good]
    return "\n".join(lines), result


def _stream(ctx: Context, selection: Selection, limit: int) -> None:
    """Every host's jobs as JSON, written as they come: their number does not matter."""
    from opstasks.jobs import find as workflow
    from opstasks.output.stream import fleet_stream

    # A host that does not answer is to keep no other one waiting.
    reached: FleetResult[Any] = ctx.fleet.gather(lambda host: host.transport)

    def source(host: Host, item: HostResult[Any]) -> Source:
        def run(take: Callable[[Sequence[Any]], None]) -> None:
            if item.error is not None:
                raise item.error
            workflow.stream(host, selection, limit, take)

        return run

    both = zip(ctx.fleet.hosts, reached, strict=True)
    result = fleet_stream((host.name, source(host, item)) for host, item in both)
    ctx.console.problems(result)
    ctx.end(result)


def _cells(job: Job, now: float) -> list[object]:

    elapsed = job.elapsed_s(now)
    return [
        job.id,
        job.workspace,
        job.action,
        job.state,
        job.status_code,
        clock_text(job.started or job.created),
        span_text(elapsed) if elapsed else "",
        job.image.rpartition("/")[2],
        f"{job.cpus:g}" if job.cpus else "",
        size_text(job.memory) if job.memory else "",
        job.container,
        job.disagreement,
    ]


@task(
    help={"job": finding.JOB_HELP},
    auto_shortflags=False,
)
def show(ctx: Context, job: str = "") -> None:
    """Show all that is known of one job, with its life so far drawn as a line of time.

    Example: inv -H all jobs.show abc123
    """
    from opstasks.jobs import find as workflow
    from opstasks.output.console import printable

    host, match = finding.one(ctx, job)
    life = workflow.life(host, match)
    if ctx.options.json:
        document = {"host": host.name, "job": match.job, "container": match.container}
        known = {"volume": match.volume, "logs": match.logs, "row": match.row}
        ctx.console.document(
            {**document, **known, "timeline": life.moments, "missing": life.missing}
        )
        return
    if match.docker_error:
        ctx.console.note(f"containers are not known: {printable(match.docker_error)}")
    if life.missing:
        ctx.console.note(f"the service's lines are missing: {printable(life.missing)}")
    for key, value in _known(match):
        if value not in (None, ""):
            ctx.console.say(f"{key:18} {printable(str(value))}")
    ctx.console.say()
    for line in _drawn(life.moments, match):
        ctx.console.say(line)


def _known(match: Match) -> Iterator[tuple[str, object]]:
    """What there is to say of a job, line by line."""
    job, row, container = match.job, match.row, match.container
    yield "host", match.host
    yield "job", job.id
    yield "request", row.get("job_request_id")
    yield "workspace", job.workspace
    yield "action", job.action
    yield "state", f"{job.state} ({job.status_code})"
    yield "message", job.status_message
    yield "look at", job.disagreement
    yield "cancelled", bool(row.get("cancelled")) or None
    yield "command", row.get("run_command")
    yield "repository", row.get("repo_url")
    yield "commit", row.get("commit")
    yield "database", row.get("database_name")
    yield "waits for", _listed(row.get("wait_for_job_ids"))
    yield "needs", _listed(row.get("requires_outputs_from"))
    yield "outputs", _listed(row.get("outputs"))
    yield "unmatched outputs", _listed(row.get("unmatched_outputs"))
    if container:
        yield "container", f"{container.name}, {container.state}"
        yield "image", f"{container.image} {container.image_id[:19]}"
        yield "limits", f"{container.cpus:g} cpu(s), {size_text(container.memory)} memory"
        yield "exit code", None if container.state == "running" else container.exit_code
    yield "volume", " ".join(match.volume)
    for path, length, _ in match.logs:
        yield "log file", f"{path} ({size_text(length)})"


def _listed(text: str | None) -> str:
    """A list or a mapping that job-runner keeps as JSON, for people."""
    import json

    try:
        found = json.loads(text or "null")
    except ValueError:
        return text or ""
    if isinstance(found, dict):
        found = [f"{name} ({level})" for name, level in found.items()]
    return ", ".join(map(str, found)) if isinstance(found, list) else ""


def _drawn(moments: Sequence[Moment], match: Match) -> Iterator[str]:
    """The life of a job: a dot for each moment, between them how long it took."""
    from opstasks.output.console import printable

    last = 0.0
    for moment in moments:
        gap = moment.time - last if last else 0
        if gap >= 1:
            yield f"{'':19}  |  {span_text(gap)}"
        text = f"  {printable(moment.text)}" if moment.text else ""
        yield f"{clock_text(moment.time)}  o  {moment.name}{text}"
        last = moment.time
    if match.job.is_active and last:
        yield f"{'':19}  |  {span_text(max(0.0, match.now - last))}"
        yield f"{clock_text(match.now)}  .  now"


for takes_job in (
    show,
    jobs_logs.logs,
    jobs_logs.follow,
    jobs_change.kill,
    jobs_change.retry,
    jobs_tools.mount,
    jobs_tools.strace,
):
    finding.takes_words(takes_job)

namespace = Collection("jobs")
namespace.add_task(ls, name="ls")
namespace.add_task(show, name="show")
namespace.add_task(jobs_logs.logs, name="logs")
namespace.add_task(jobs_logs.follow, name="follow")
namespace.add_task(jobs_change.kill, name="kill")
namespace.add_task(jobs_change.retry, name="retry")
namespace.add_task(host_tasks.jobs_stats, name="stats")
namespace.add_task(jobs_tools.mount, name="mount")
namespace.add_task(jobs_tools.strace, name="strace")
