"""Short ids for a screen: the beginning of an id, as long as no other job on the screen has it.

A person can type one wherever a job is given, because every task finds a job by a part of its id.
If another job, which is not on the screen, also matches, the task asks which one is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opstasks.jobs.find import is_id
from opstasks.jobs.model import Job

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


def with_short_ids(rows: Iterable[Sequence[object]], jobs: Iterable[Job]) -> list[Sequence[object]]:
    """Rows of a host and an id, and more, with the short forms of the ids."""
    short = short_ids(jobs)
    return [[host, short.get(str(id), id), *rest] for host, id, *rest in rows]
