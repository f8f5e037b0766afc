"""Short ids for a screen: the beginning of an id, as long as no other job on the screen has it.

A person can type one wherever a job is given, because every task finds a job by a part of its id.
If another job, which is not on the screen, also matches, the task asks which one is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from opstasks.core.result import FleetResult
from opstasks.jobs.find import is_id
from opstasks.jobs.model import Job
from opstasks.output.screens import Screen

T = TypeVar("T")

SHORTEST = 6
# Each id is compared with every other job: more jobs would take too long.
MOST_JOBS = 500


def short_ids(jobs: Iterable[Job]) -> dict[str, str]:
    """The short form of each id.

    An id of another form than job-runner's own stays whole, and so do all ids of too many jobs.
    """
    named = {job.name: job for job in jobs}
    if len(named) > MOST_JOBS:
        return {}
    return {job.id: _short(job.id, list(named)) for job in named.values()}


def _short(id: str, names: list[str]) -> str:
    if not is_id(id):
        return id
    found = names
    for length in range(SHORTEST, len(id)):
        part = id[:length]
        found = [name for name in found if part in name]
        if len(found) == 1:
            return part
    return id


def _no_jobs(answer: object) -> Iterable[Job]:
    return ()


@dataclass(frozen=True)
class JobScreen(Screen[T]):
    """A table with a host and a job's id in each row; `jobs_of` are the jobs of an answer.

    Ids are short, and no other row of the table matches them; not with `whole_ids`, for a pipe and
    for --wide.
    """

    jobs_of: Callable[[T], Iterable[Job]] = _no_jobs
    whole_ids: bool = False

    def table_rows(self, batch: FleetResult[T]) -> list[Sequence[object]]:
        """The rows of the hosts of a batch."""
        rows = super().table_rows(batch)
        if self.whole_ids:
            return rows
        short = short_ids(job for found in batch.values.values() for job in self.jobs_of(found))
        return [[host, short.get(str(id), id), *rest] for host, id, *rest in rows]
