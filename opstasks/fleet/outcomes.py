"""How a task has ended so far on each of its hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opstasks.core.result import FleetResult

# The host was read, and the task has not said yet whether it wants more of it.
PLANNED = "planned"


class RunOutcomes:
    """The outcomes of one task, from all its passes over its hosts.

    `has_begun`: at least one host was asked; `has_rolled`: at least one was to be changed;
    `is_kept` is False for a run that `-H @failed` ignores, such as one that shows a plan.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self.has_rolled = False
        self.is_kept = True
        self._found: dict[str, str] = {}
        self._last: FleetResult[Any] | None = None

    def take(self, result: FleetResult[Any], *, is_plan: bool) -> None:
        """Add a pass over hosts; `is_plan`: the task may continue with those that answered."""
        for item in result:
            self._found[item.host] = PLANNED if is_plan and item.good else item.outcome

    def end(self, result: FleetResult[Any]) -> None:
        """Add the result that the task shows at its end."""
        self._last = result

    def of(self, hosts: Sequence[str], *, is_complete: bool) -> dict[str, str]:
        """The outcome of each host; `is_complete`: the task ran to its end.

        Then a host that was only read is "ok", unless another host's failure stopped the task
        before it changed any.
        """
        last = self._last or FleetResult()
        went_well = is_complete and (self.has_rolled or last.exit_code == 0)
        rest = "ok" if went_well else "not started"
        found = dict.fromkeys(hosts, rest)
        for host, outcome in self._found.items():
            found[host] = rest if outcome == PLANNED else outcome
        for item in last:
            planned = self._found.get(item.host) == PLANNED and item.outcome == "ok"
            found[item.host] = rest if planned else item.outcome
        return {host: found[host] for host in hosts}
