"""Words for what is on a host, the same in plans, results and overviews: pure."""

from __future__ import annotations

from opstasks.core.formats import plural
from opstasks.core.state import ServiceState
from opstasks.output.parts import Painted
from opstasks.output.states import service_part


def service_cell(state: ServiceState | None, for_s: float | None = None) -> Painted:
    """The service's state and for how long; one that systemd starts has died before."""
    if state is None:
        return service_part("unknown")
    return service_part("crash loop" if state == "starting" else state, for_s)


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
