"""The last statement of each running database job (playbook: "Debugging slow queries")."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.fields import Line, Moment, Text
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program

# job-runner's own default for DATABASE_ACCESS_NETWORK.
NETWORK = "jobrunner-db"
MAX_BYTES = 32 << 20


class StatementsRequest(msgspec.Struct, frozen=True):
    """Jobs are in the network of the configuration, or by default in `network`.

    `with_sql` adds the text of each statement.
    """

    config_dir: str
    network: str
    with_sql: bool


@dataclass(frozen=True)
class JobStatement:
    """A running job's last statement; times in seconds since the epoch, 0 for never.

    `ended_at` is the time of the next record, as the statement has then ended. `now_at` is the
    time of the answer. `reason` says why the statement is unknown. `sql` is its text, if
    requested.
    """

    job: Line
    workspace: Line
    action: Line
    image: Line
    now_at: Moment
    began_at: Moment = 0.0
    ended_at: Moment = 0.0
    reason: Line = ""
    sql: Text = ""

    @property
    def elapsed_s(self) -> float:
        """How long the statement has been running, or ran."""
        return max(0.0, (self.ended_at or self.now_at) - self.began_at) if self.began_at else 0.0


class StatementsAnswer(msgspec.Struct, frozen=True):
    """Every running database job."""

    jobs: tuple[JobStatement, ...]


STATEMENTS = Program(
    "opstasks.queries.onhost.statements", StatementsRequest, StatementsAnswer, max_bytes=MAX_BYTES
)


def read_statements(host: Host, *, sql: bool) -> list[JobStatement]:
    """The running database jobs of a host, the longest-running statement first.

    Raises Refused when Docker does not answer.
    """
    request = StatementsRequest(host.spec.config_dir, NETWORK, sql)
    try:
        answer = host.service.call(STATEMENTS, request)
    except Refused as error:
        error.hint = error.hint or f"inv -H {host.name} doctor"
        raise
    return sorted(answer.jobs, key=lambda job: -job.elapsed_s)
