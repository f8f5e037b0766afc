"""The steps of a preparation, as the host's record names them, for a person who waits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from opstasks.maintenance.onhost.records import ScheduledItem

# The beginning of a step's text, and a word or two for it once it is over.
_BRIEFS = (
    ("wait for the lock", "lock"),
    ("check again", "checked"),
    ("pause new jobs", "paused"),
    ("already paused", "paused before"),
    ("stop ", "stopped"),
    ("snapshot", "database copied"),
    ("requeue", "requeued"),
    ("verify", "verified"),
)
_RUNNING = re.compile(r"(\d{1,9}) jobs? running")


@dataclass(frozen=True)
class ShownStep:
    """A step: what it does, a brief word for when it is over, and how long it may last."""

    text: str
    brief: str = ""
    lasts_s: float = 0.0


def shown(item: ScheduledItem, number: int) -> ShownStep:
    """The step `number` of an item, from 0."""
    step = item.steps[number]
    running = _RUNNING.fullmatch(step.text)
    if not running:
        brief = next((brief for start, brief in _BRIEFS if step.text.startswith(start)), "")
        return ShownStep(step.text, brief)
    begun_at = next(s.at for s in item.steps if _RUNNING.fullmatch(s.text))
    count = int(running[1])
    if not count:
        return ShownStep("no job is running", "no job left")
    jobs = "1 job is" if count == 1 else f"{count} jobs are"
    # The host's clock may have been set back in between.
    left_s = max(1.0, item.drain_s - max(0.0, step.at - begun_at))
    return ShownStep(f"{jobs} running, waiting for the end", f"{count} running", left_s)
