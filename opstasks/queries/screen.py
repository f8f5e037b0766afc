"""The screens of `jobs.queries` and `db.progress`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from opstasks.core.clock import Clock
from opstasks.core.formats import first_names, plural, second_text, span_text
from opstasks.core.result import FleetResult
from opstasks.jobs.model import Job
from opstasks.jobs.short_ids import JobScreen
from opstasks.output.parts import Line, Part, bold, dim, odd
from opstasks.output.screens import Screen
from opstasks.output.table import Column
from opstasks.queries.progress import TableProgress
from opstasks.queries.statements import JobStatement

Statements = Sequence[JobStatement]
Tables = Sequence[TableProgress]
# So many jobs with the same reason are named.
NAMED = 3
STATEMENT_COLUMNS = (
    Column("HOST"),
    Column("JOB"),
    Column("WORKSPACE / ACTION", long="clip", least=18),
    Column("STATEMENT"),
    Column("FOR", is_right=True),
    Column("SENT", rank=1),
    Column("IMAGE", rank=2, long="clip"),
)
TABLE_COLUMNS = (
    Column("HOST"),
    Column("TABLE"),
    Column("ROWS", is_right=True),
    Column("HOW", rank=1),
)


# -- jobs.queries ------------------------------------------------------------------------------


def statements_screen(
    clock: Callable[[], Clock], *, whole_ids: bool, in_pipe: bool = False
) -> Screen[Statements]:
    """Each running database job, with its last statement.

    `clock` is asked after the hosts: only they say in which zone they are. In a pipe, each time is
    a date in UTC, as nothing else has the zone.
    """

    def rows(host: str, found: Statements) -> list[list[object]]:
        now = None if in_pipe else clock()
        return [[host, *_statement_cells(item), _sent(item, now), _image(item)] for item in found]

    return JobScreen(
        STATEMENT_COLUMNS,
        rows=rows,
        headline=lambda result: _statements_headline(result, clock()),
        notes=_unknown,
        nothing=lambda result: (
            f"no database job is running on {plural(len(result.values), 'host')}:"
            " jobs.ls shows all jobs"
        ),
        ids=lambda found: [item.job for item in found],
        jobs_of=lambda found: [
            Job(item.job, item.workspace, item.action, "running") for item in found
        ],
        whole_ids=whole_ids,
    )


def _statement_cells(item: JobStatement) -> list[object]:
    return [
        item.job,
        f"{item.workspace} / {item.action}",
        _state(item),
        span_text(item.elapsed_s) if item.began_at else "",
    ]


def _sent(item: JobStatement, clock: Clock | None) -> str:
    return clock.text(item.began_at, with_seconds=True) if clock else second_text(item.began_at)


def _image(item: JobStatement) -> str:
    return item.image.rpartition("/")[2]


def _state(item: JobStatement) -> Part:
    if item.reason:
        return odd("unknown")
    return dim("ended") if item.ended_at else "running"


def _statements_headline(result: FleetResult[Statements], clock: Clock) -> Line:
    """``2 of 3 database jobs run a statement; longest first; 07:56 UTC``."""
    items = [item for found in result.values.values() for item in found]
    if not items:
        return []
    count = sum(not item.reason and not item.ended_at for item in items)
    runs = "runs" if count == 1 else "run"
    text = f"{count} of {plural(len(items), 'database job')} {runs} a statement"
    return [bold(text), f"; longest first; {clock.now_text}"]


def _unknown(host: str, found: Statements) -> Iterator[Line]:
    """Why the statement of a job is not known."""
    for reason in dict.fromkeys(item.reason for item in found if item.reason):
        jobs = [item.job for item in found if item.reason == reason]
        yield [f"{host} {first_names(jobs, NAMED)}: {reason}"]


# -- db.progress -------------------------------------------------------------------------------


def progress_screen(clock: Callable[[], Clock], wanted: str) -> Screen[Tables]:
    """The rows of tables; `wanted` says which tables were looked for."""
    return Screen(
        TABLE_COLUMNS,
        rows=lambda host, found: [
            [host, item.table, f"{item.rows:,}", "estimate" if item.estimated else "count"]
            for item in found
        ],
        headline=lambda result: _progress_headline(result, clock()),
        nothing=lambda result: (
            f"no {wanted} on {plural(len(result.values), 'host')}:"
            " the query may have ended, or not have started"
        ),
        ids=lambda found: [item.table for item in found],
    )


def _progress_headline(result: FleetResult[Tables], clock: Clock) -> Line:
    """``1,234,567 rows at 07:56:12 UTC``, to compare with the next time."""
    items = [item for found in result.values.values() for item in found]
    if not items:
        return []
    at = f"{clock.text(clock.now_at, with_seconds=True)} {clock.zone_name}"
    if len(items) == 1:
        how = "about " if items[0].estimated else ""
        return [bold(f"{how}{items[0].rows:,} rows"), f" at {at}"]
    return [bold(plural(len(items), "table")), f"; rows at {at}"]
