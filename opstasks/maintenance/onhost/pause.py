"""Runs on the host, as the service account: pause new jobs."""

import os
from dataclasses import asdict, replace
from typing import Any

from opstasks.maintenance.onhost.pause_change import set_pause
from opstasks.maintenance.onhost.pause_flag import pause_note, paused_at
from opstasks.maintenance.onhost.records import Pause
from opstasks.maintenance.onhost.site import site_of


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Pause; if the host is already paused, change only what the request names.

    The request: ``site``, ``who``, ``why``, ``until_at``, ``id`` (of the scheduled end).
    """
    os.umask(0o022)
    site = site_of(request)
    flag_at = paused_at(site)
    before = pause_note(site, flag_at)
    asked = {name: request[name] for name in ("why", "until_at", "id") if request[name]}
    if before and not asked:
        return {"changed": False, "pause": asdict(before)}
    pause = Pause(who=request["who"], task="pause")
    if before:
        kept = {name: getattr(before, name) for name in ("why", "until_at", "id", "who")}
        pause = replace(pause, **kept)
    return {"changed": True, "pause": asdict(set_pause(site, replace(pause, **asked)))}
