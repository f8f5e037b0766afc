"""`jobs.stats`: what running jobs use at the moment."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.fields import Amount, Count, Line
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program


@dataclass(frozen=True)
class JobUse:
    """What one job uses; a limit is None where there is none."""

    id: Line
    workspace: Line
    action: Line
    cpu_cores: Amount
    cpu_limit_cores: Amount | None
    memory_bytes: Count
    memory_limit_bytes: Count | None
    read_bytes: Count
    written_bytes: Count
    read_bytes_per_s: Amount
    written_bytes_per_s: Amount
    pids: Count


class StatsRequest(msgspec.Struct, frozen=True):
    """An empty request: it means every running job."""


class StatsAnswer(msgspec.Struct, frozen=True):
    """One `JobUse` for each running job."""

    jobs: tuple[JobUse, ...]


STATS = Program("opstasks.jobs.onhost.stats", StatsRequest, StatsAnswer)


def read_stats(host: Host) -> tuple[JobUse, ...]:
    """What each running job of a host uses, in one round trip.

    Raises Refused when docker does not answer.
    """
    try:
        return host.service.call(STATS, StatsRequest()).jobs
    except Refused as refusal:
        refusal.hint = refusal.hint or f"inv -H {host.name} doctor"
        raise
