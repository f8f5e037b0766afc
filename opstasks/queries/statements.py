"""Which statement each running database job is at (playbook: "Debugging slow queries")."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from opstasks.core.command import Command
from opstasks.core.errors import Refused
from opstasks.fleet import old_program as remote
from opstasks.fleet.inventory import HostSpec

# job-runner's own default for DATABASE_ACCESS_NETWORK.
NETWORK = "jobrunner-db"


@dataclass(frozen=True)
class Query:
    """A running job's last statement; times in seconds since the epoch, 0 for none.

    `ended` is when the next record came: the statement is done. `reason` says why nothing can be
    told. `sql` is the statement, where it was asked for.
    """

    job: str
    workspace: str
    action: str
    image: str
    began: float = 0.0
    ended: float = 0.0
    now: float = 0.0
    reason: str = ""
    sql: str = ""

    @property
    def elapsed_s(self) -> float:
        """How long the statement has been running, or ran."""
        return max(0.0, (self.ended or self.now) - self.began) if self.began else 0.0

    def state(self) -> str:
        """For people."""
        if self.reason:
            return f"cannot tell: {self.reason}"
        return "ended; between statements" if self.ended else "running"


def read_command(spec: HostSpec, *, sql: bool) -> Command:
    """Look at the logs of the running database jobs; parse with `parse`."""
    request = {"config_dir": spec.config_dir, "network": NETWORK, "sql": sql}
    return remote.call("opstasks.queries.onhost.queries", request)


def parse(host: str, text: str) -> list[Query]:
    """What `read_command` printed, the longest-running first."""
    found: dict[str, Any] = json.loads(text)
    if "error" in found:
        raise Refused(
            f"cannot look at the jobs: {found['error']}", host=host, hint=f"inv -H {host} doctor"
        )
    jobs = [Query(**fact, now=found["now"]) for fact in found["jobs"]]
    return sorted(jobs, key=lambda query: -query.elapsed_s)
