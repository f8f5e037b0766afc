"""The record of how a task ended on each host, and `-H @failed`, which reads it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opstasks.core.errors import Refused

if TYPE_CHECKING:
    from opstasks.fleet.fleet import Fleet
    from opstasks.fleet.inventory import Inventory
    from opstasks.output.console import Console


@dataclass
class TaskRun:
    """The task that is running; `program` is what `run` runs on the hosts."""

    task: str = ""
    program: str = ""

    def record(
        self, fleet: Fleet, inventory: Path | None, console: Console, *, is_complete: bool
    ) -> None:
        """Write how the task ended on each host; `is_complete`: it ran to its end.

        A run that contacted no host does not replace the earlier record.
        """
        if not (fleet.outcomes.has_begun and fleet.outcomes.is_kept):
            return
        from opstasks.fleet import last_run

        names = [host.name for host in fleet.hosts]
        run = last_run.LastRun(
            task=self.task,
            program=self.program,
            ended_at=time.time(),
            outcomes=fleet.outcomes.of(names, is_complete=is_complete),
        )
        try:
            last_run.write(last_run.path_of(self.task, inventory), run)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            console.note(f"this run is not recorded for -H @failed: {reason}")

    def failed(self, inventory: Inventory, file: Path | None, console: Console) -> list[str]:
        """The hosts that were not ok in the last run of this task; says which run that was.

        Raises Refused without such a run, or when no host failed in it.
        """
        from opstasks.core.formats import span_text
        from opstasks.fleet import last_run
        from opstasks.fleet.fleet import named

        run = last_run.read(last_run.path_of(self.task, file), self.task)
        ago = span_text(max(0.0, time.time() - run.ended_at))
        which = f"the last run of `{run.name}`, {ago} ago"
        known = [name for name in run.failed if inventory.knows(name)]
        gone = [name for name in run.failed if not inventory.knows(name)]
        if gone:
            console.note(f"@failed: no longer in hosts.yaml: {named(gone)}")
        if not known:
            raise Refused(f"@failed: no host failed in {which}", hint="name the hosts")
        hosts = "host" if len(run.outcomes) == 1 else "hosts"
        console.note(
            f"@failed: {len(known)} of {len(run.outcomes)} {hosts} in {which}: {named(known)}"
        )
        return known
