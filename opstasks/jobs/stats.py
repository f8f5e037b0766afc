"""`jobs.stats`: what running jobs use at the moment."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.fields import Amount, Count, Line
from opstasks.core.formats import size_text
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program

HEADERS = (
    "host",
    "id",
    "job",
    "cpu",
    "limit",
    "memory",
    "limit",
    "%",
    "read",
    "written",
    "read/s",
    "written/s",
    "pids",
)


@dataclass(frozen=True)
class JobUse:
    """What one job uses; limits are 0 when there is no limit."""

    id: Line
    workspace: Line
    action: Line
    cpu_cores: Amount
    cpu_limit_cores: Amount
    memory_bytes: Count
    memory_limit_bytes: Count
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


def cells(use: JobUse) -> list[object]:
    """A job's row of the table, without the host."""
    share_percent = 100 * use.memory_bytes / (use.memory_limit_bytes or 1)
    return [
        use.id,
        f"{use.workspace}-{use.action}",
        f"{use.cpu_cores:.2f}",
        f"{use.cpu_limit_cores:g}" if use.cpu_limit_cores else "",
        size_text(use.memory_bytes),
        size_text(use.memory_limit_bytes) if use.memory_limit_bytes else "",
        f"{share_percent:.0f}" if use.memory_limit_bytes else "",
        size_text(use.read_bytes),
        size_text(use.written_bytes),
        size_text(use.read_bytes_per_s),
        size_text(use.written_bytes_per_s),
        use.pids,
    ]
