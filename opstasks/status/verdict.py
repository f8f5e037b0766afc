"""From what hosts say to how the run ended: a host that is not ok has failed."""

from __future__ import annotations

from dataclasses import replace

from opstasks.core.errors import VerifyFailed
from opstasks.core.result import FleetResult, HostResult
from opstasks.status.model import HostStatus


def conclude(found: FleetResult[HostStatus]) -> FleetResult[HostStatus]:
    """The same results; hosts that are down, failed, stale or forgotten have failed."""
    return FleetResult([_concluded(item) for item in found])


def _concluded(item: HostResult[HostStatus]) -> HostResult[HostStatus]:
    if not item.good or item.value is None or item.value.ok:
        return item
    worst = next(concern for concern in item.value.concerns if concern.is_wrong)
    hint = worst.look or worst.next or worst.undo
    error = VerifyFailed(f"{worst.kind}: {worst.text}", host=item.host, hint=hint)
    # The screen has said it.
    error.is_shown = True
    return replace(item, outcome=error.outcome, error=error)
