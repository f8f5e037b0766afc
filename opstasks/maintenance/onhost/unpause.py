"""Runs on the host: let new jobs begin again; as root if the pause has a scheduled end."""

import os
from typing import Any

from opstasks.maintenance.onhost.claims import claims
from opstasks.maintenance.onhost.pause_change import clear_pause
from opstasks.maintenance.onhost.pause_flag import check_seen, pause_note, paused_at
from opstasks.maintenance.onhost.records import current_pause
from opstasks.maintenance.onhost.site import site_of
from opstasks.onhost.protocol import HostFailure


def main(request: dict[str, Any]) -> dict[str, Any]:
    """End the pause that the person saw, no matter whose it is.

    The request: ``site``, ``seen_at`` (the time of its flag). Raises HostRefusal if the present
    pause is another one.
    """
    os.umask(0o022)
    site = site_of(request)
    flag_at = paused_at(site)
    is_paused = bool(flag_at)
    if is_paused:
        check_seen(current_pause(flag_at, pause_note(site, flag_at)), request["seen_at"])
        clear_pause(site)
        if paused_at(site):  # fails if it cannot be read: "changed" is said only of what was read
            raise HostFailure("new jobs are still paused")
    return {"changed": is_paused, "now": claims(site)}
