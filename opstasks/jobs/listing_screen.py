"""The screen of `jobs.ls`: from the jobs of hosts to lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from opstasks.core.clock import Clock
from opstasks.core.formats import first_names, minute_text, plural, size_text, span_text
from opstasks.core.result import FleetResult, HostResult
from opstasks.jobs.join import NO_STATE
from opstasks.jobs.listing import Listing
from opstasks.jobs.model import ACTIVE, STATES, Job
from opstasks.jobs.read import JobSelection
from opstasks.jobs.short_ids import JobScreen, short_ids
from opstasks.jobs.words import command_for, cores_text, memory_part, problem_of, state_part
from opstasks.output.paragraphs import folded
from opstasks.output.parts import Line, Painted, bad, bold, odd, to_type
from opstasks.output.screens import Screen
from opstasks.output.table import Column, draw

# So many jobs with the same problem are named.
NAMED = 3
COLUMNS = (
    Column("HOST"),
    Column("JOB"),
    Column("WORKSPACE / ACTION", long="clip", least=18),
    Column("STATE", long="clip", least=9),
    Column("STARTED", rank=2),
    Column("FOR", is_right=True),
    Column("MEMORY", rank=1, is_right=True),
    Column("MESSAGE", rank=4, long="clip", least=20),
    Column("IMAGE", rank=6, long="clip"),
    Column("CONTAINER", rank=5),
    Column("CPU LIMIT", rank=7, is_right=True),
    Column("MEMORY LIMIT", rank=3, is_right=True),
)


@dataclass(frozen=True)
class Asked:
    """What a person asked for: the jobs, the filters as words, and the most jobs of each host."""

    selection: JobSelection
    limit: int
    filters: str = ""

    @classmethod
    def of(cls, selection: JobSelection, limit: int, since: str = "") -> Asked:
        """`since` as it was typed."""
        parts = [f"of workspace {selection.workspace}"] if selection.workspace else []
        parts += [f"created or ended since {since}"] if since else []
        return cls(selection, limit, "".join(f" {part}" for part in parts))


class WatchedJobScreen(JobScreen[Listing]):
    """The same with what needs a person above the table: a low window cuts off what is below."""

    def lines(self, result: FleetResult[Listing], width: int, *, wide: bool = False) -> list[Line]:
        """The whole screen for a window of a width, with the hosts that did not answer."""
        rows = self.table_rows(result)
        above = [line for line in [self.headline(result)] if line]
        above += [] if rows else self.nothing_lines(result)
        above += [_silent(item) for item in result if not item.good]
        above += self.note_lines(result)
        return [*folded(above, width), *draw(self.columns, rows, width, wide=wide).with_hint()]


def _silent(item: HostResult[Listing]) -> Line:
    return [bad(item.host), f": {item.error.message if item.error else item.outcome}"]


def screen(
    asked: Asked,
    clock: Callable[[], Clock],
    *,
    whole_ids: bool,
    in_pipe: bool = False,
    is_watched: bool = False,
) -> Screen[Listing]:
    """How jobs are shown; `whole_ids` for a pipe and for --wide, `is_watched` for --watch.

    `clock` is asked after the hosts: only they say in which zone they are.
    """
    kind = WatchedJobScreen if is_watched else JobScreen[Listing]
    return kind(
        COLUMNS,
        rows=lambda host, found: _rows(host, found, None if in_pipe else clock()),
        headline=lambda result: _headline(result, asked, clock()),
        notes=lambda host, found: _notes(host, found, asked, whole_ids=whole_ids),
        nothing=lambda result: _nothing(result, asked),
        ids=lambda found: [job.id for job in found.jobs if job.state != NO_STATE],
        jobs_of=lambda found: found.jobs,
        whole_ids=whole_ids,
    )


def _rows(host: str, found: Listing, clock: Clock | None) -> list[list[object]]:
    """A host's rows; without a `clock`, times are dates in UTC: nothing else has the zone."""
    time_text = clock.text if clock else minute_text
    return [[host, *_cells(job, found.now, time_text)] for job in found.jobs]


def _cells(job: Job, now: float, time_text: Callable[[float], str]) -> list[object]:
    """A job's row, without the host; `now` is the host's clock in seconds since the epoch."""
    name = f"{job.workspace} / {job.action}" if job.workspace or job.action else ""
    since_at = job.started_at or job.created_at
    spent_s = max(0.0, (job.completed_at or now) - since_at) if since_at else 0.0
    return [
        job.id,
        name,
        state_part(job),
        time_text(since_at),
        span_text(spent_s) if since_at else "",
        memory_part(job),
        job.status_message,
        job.image.rpartition("/")[2],
        job.container,
        cores_text(job.cpu_limit_cores),
        size_text(job.memory_limit_bytes) if job.memory_limit_bytes else "",
    ]


# -- above the table ---------------------------------------------------------------------------


def _headline(result: FleetResult[Listing], asked: Asked, clock: Clock) -> Line:
    """``3 running, 1 pending; newest first; 07:56 UTC``; nothing for an empty table."""
    found = list(result.values.values())
    if not any(listing.jobs for listing in found):
        return []
    counts: Counter[str] = Counter()
    for listing in found:
        counts.update(_counted(listing, asked.selection))
    texts = [f"{counts[state]} {state}" for state in _states(asked.selection, counts)]
    if _has_filter(asked.selection) and any(listing.has_more for listing in found):
        texts[0] = f"at least {texts[0]}"
    extra = sum(not _is_selected(job, asked.selection) for one in found for job in one.jobs)
    texts += [f"{extra} left over"] if extra else []
    return [bold(", ".join(texts)), f"; newest first; {clock.now_text}"]


def _states(selection: JobSelection, counts: Mapping[str, int]) -> list[str]:
    """The states to count: those asked for, also without a job, or all that have one."""
    if selection.states == ACTIVE:
        return ["running", "pending"]
    if selection.states:
        return list(selection.states)
    order = ["running", *(state for state in STATES if state != "running")]
    return [state for state in order if counts[state]]


def _counted(listing: Listing, selection: JobSelection) -> Mapping[str, int]:
    """The number of selected jobs by state, also where the limit left some out."""
    if not _has_filter(selection) and listing.counts:
        states = selection.states or STATES
        return {state: listing.counts.get(state, 0) for state in states}
    return Counter(job.state for job in listing.jobs if _is_selected(job, selection))


def _has_filter(selection: JobSelection) -> bool:
    return bool(selection.workspace or selection.since_at or selection.since_s)


def _is_selected(job: Job, selection: JobSelection) -> bool:
    """Whether a job was asked for; others are listed because they left something."""
    return job.state in (selection.states or STATES)


def _nothing(result: FleetResult[Listing], asked: Asked) -> str:
    """What was looked for, where, and what shows more."""
    count = plural(len(result.values), "host")
    states = asked.selection.states
    if states == ACTIVE and not asked.filters:
        ended = sum(sum(listing.ended_day.values()) for listing in result.values.values())
        what = f"no job is running or pending on {count}"
        return f"{what}; {ended or 'none'} ended in 24 h: jobs.ls --all"
    what = "no job" if len(states) != 1 else f"no {states[0]} job"
    if states == ACTIVE:
        what = "no running or pending job"
    more = ": jobs.ls --all" if states or asked.filters else ""
    return f"{what}{asked.filters} on {count}{more}"


# -- below the table ---------------------------------------------------------------------------


def _notes(host: str, found: Listing, asked: Asked, *, whole_ids: bool) -> Iterator[Line]:
    """What needs a person, with the command to type; then what the table leaves out."""
    if found.docker_problem:
        yield [_MARK, f"{host}: cannot read the containers: {found.docker_problem}"]
        yield _next(command_for(host, "doctor"))
    short = {} if whole_ids else short_ids(found.jobs)
    for (text, task), jobs in _problems(found.jobs).items():
        ids = [job.id for job in jobs]
        names = first_names([short.get(id, id) for id in ids], NAMED)
        yield [_MARK, f"{host} {names}: {text}"]
        yield _next(command_for(host, task, *(ids if task == "jobs.kill" else ids[:1])))
    if found.has_more:
        yield [f"{host}: only the newest {asked.limit}; all: --limit 0"]


_MARK: Painted = odd("! ")


def _next(command: str) -> Line:
    return ["  next:  ", to_type(command)]


def _problems(jobs: Iterable[Job]) -> dict[tuple[str, str], list[Job]]:
    """The jobs with each problem, and the task to type next."""
    found: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        if job.disagreement:
            found.setdefault(problem_of(job), []).append(job)
    return found
