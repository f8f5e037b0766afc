"""Runs on the host: let new jobs begin again; as root if the pause has a scheduled end."""

import os
from typing import Any

from opstasks.maintenance.onhost.claims import claims
from opstasks.maintenance.onhost.pause_change import clear_pause
from opstasks.maintenance.onhost.pause_flag import paused_at
from opstasks.maintenance.onhost.site import site_of
from opstasks.onhost.protocol import HostFailure


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Unpause, no matter who paused. The request: ``site``."""
    os.umask(0o022)
    site = site_of(request)
    is_paused = bool(paused_at(site))
    if is_paused:
        clear_pause(site)
        if paused_at(site):  # fails if it cannot be read: "changed" is said only of what was read
            raise HostFailure("new jobs are still paused")
    return {"changed": is_paused, "now": claims(site)}
