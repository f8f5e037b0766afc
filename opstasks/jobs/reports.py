"""Plans for jobs as `--json` shows them (docs/json.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opstasks.core.result import FleetResult, HostResult
from opstasks.jobs.model import Match


@dataclass(frozen=True)
class JobsPlan:
    """What would be done with the jobs of a host: the steps of each, by id; none: nothing."""

    jobs: dict[str, tuple[str, ...]]


def planned(steps: Iterable[tuple[Match, Sequence[str]]]) -> FleetResult[JobsPlan]:
    """The plans of hosts, from the steps of single jobs."""
    by_host: dict[str, dict[str, tuple[str, ...]]] = {}
    for match, words in steps:
        by_host.setdefault(match.host, {})[match.job.id] = tuple(words)
    return FleetResult([HostResult(host, "ok", JobsPlan(jobs)) for host, jobs in by_host.items()])
