"""Runs on the host: let new jobs begin again; as root if the pause has a scheduled end."""

import os
from typing import Any

from opstasks.maintenance.onhost.claims import claims
from opstasks.maintenance.onhost.pause_change import clear_pause
from opstasks.maintenance.onhost.pause_flag import paused_at
from opstasks.maintenance.onhost.site import site_of


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Unpause, no matter who paused. The request: ``site``."""
    os.umask(0o022)
    site = site_of(request)
    is_paused = bool(paused_at(site))
    if is_paused:
        clear_pause(site)
    return {"changed": is_paused, "now": claims(site)}
