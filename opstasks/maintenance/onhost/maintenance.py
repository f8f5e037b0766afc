"""Runs on the host: pause, prepare for a reboot, now or later, and end a pause.

``main(request)`` gets JSON ``{"op": ..., "site": {...}, ...}`` and prints one JSON object:
``{"ok": true, ...}`` or ``{"ok": false, "refused": ..., "reason": ..., "detail": ...}``.

The work of `prepare-reboot` never depends on a client: it is always armed as a systemd unit that
runs a copy of this script as root, at once or by a timer, and its record says how it went. What
belongs to the service account (database, snapshot, job-runner's commands) is done as that account.
"""

import contextlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from typing import Any

from opstasks.maintenance.onhost.arm import op_arm, op_look
from opstasks.maintenance.onhost.boot import op_boot
from opstasks.maintenance.onhost.cancel import op_cancel
from opstasks.maintenance.onhost.fire import op_fire
from opstasks.maintenance.onhost.pause import op_pause, op_unpause
from opstasks.onhost.commands import StepError

WITH_SCRIPT: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
    "arm": op_arm,
    "fire": op_fire,
    "boot": op_boot,
}
PLAIN: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "look": op_look,
    "pause": op_pause,
    "unpause": op_unpause,
    "cancel": op_cancel,
}


def main(request: str, script: str = "") -> None:
    """Do one thing and print how it went."""
    os.umask(0o022)
    asked = json.loads(request)
    try:
        if asked["op"] in WITH_SCRIPT:
            answer = WITH_SCRIPT[asked["op"]](asked, asked.get("script") or script)
        else:
            answer = PLAIN[asked["op"]](asked)
        answer = {"ok": True, **answer}
    except StepError as error:
        words = {"reason": error.reason, "detail": error.detail, "refused": error.refused}
        answer = {"ok": False, **words}
    except (OSError, KeyError, sqlite3.Error, subprocess.SubprocessError) as error:
        reason = f"{type(error).__name__}: {error}"
        answer = {"ok": False, "reason": reason, "detail": "", "refused": False}
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer), flush=True)
