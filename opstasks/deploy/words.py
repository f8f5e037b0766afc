"""Words for what is on a host, the same in plans, results and overviews: pure."""

from __future__ import annotations

from opstasks.core.formats import plural, span_text
from opstasks.core.state import ServiceState
from opstasks.output.parts import Painted, bad, good, odd


def service_cell(state: ServiceState | None, for_s: float | None = None) -> Painted:
    """The service's state and for how long: ``up 12m``, ``CRASH LOOP 52s``, ``stopped``."""
    age = f" {span_text(for_s)}" if for_s is not None else ""
    if state == "up":
        return good(f"up{age}")
    if state == "stopped":
        return odd(f"stopped{age}")
    words = {"starting": "CRASH LOOP", "failed": "FAILED"}
    return bad(f"{words[state]}{age}") if state in words else odd("unknown")


def service_text(state: ServiceState | None) -> str:
    """The service's state in a sentence: ``service up``."""
    return f"service {state}" if state else "service in an unknown state"


def jobs_go_on(count: int | None) -> str:
    """``no job is running``, ``1 job goes on``, ``2 jobs go on``; unknown for None."""
    if count is None:
        return "running jobs unknown"
    if not count:
        return "no job is running"
    return "1 job goes on" if count == 1 else f"{count} jobs go on"


def count_text(count: int, one: str, most: int) -> str:
    """``1 commit``, ``5 commits``; ``200 or more commits`` where only so many are counted."""
    return plural(count, one) if count < most else f"{count} or more {one}s"
