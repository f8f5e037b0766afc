"""Runs on the host as root: changes the login files in such a way that it can be undone.

The old files are kept, and a timer is started that restores them; then the new ones are installed.
When anything fails, the old files are restored at once. `confirm_access.py` stops the timer. The
timer goes on when a file cannot be restored now, and tries again.
"""

import os
from pathlib import Path
from typing import Any

from opstasks.manage.onhost import way_back
from opstasks.manage.onhost.apply import Action, perform
from opstasks.manage.onhost.sshd_answers import check_sshd
from opstasks.onhost.protocol import HostFailure, error_text


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Do the actions; on any failure the old files are restored at once. Raises HostFailure."""
    os.umask(0o077)
    place, actions = request["folder"], request["actions"]
    Path(place).mkdir(mode=0o700, exist_ok=True)
    way_back.stop_timer()
    kept = what_to_keep(place, actions)
    way_back.write_manifest(place, kept)
    way_back.start_timer(place, request["script"], request["patience_s"])
    try:
        install(actions)
        if "ssh" in kept["reload"]:
            check_sshd()
    except Exception as error:
        detail = error.detail if isinstance(error, HostFailure) else ""
        raise HostFailure(f"{error_text(error)}; {undo(place)}", detail) from error
    return {"done": len(actions)}


def undo(place: str) -> str:
    """Restore the old files now, so that the timer has nothing to do; returns what was done."""
    try:
        way_back.restore_all(place)
    except HostFailure as error:
        return f"{error.reason}; the rest was restored, and the timer tries again"
    way_back.stop_timer()
    return "the old files were restored"


def what_to_keep(place: str, actions: list[Action]) -> way_back.Kept:
    """The files that these actions change, and the units to reload after restoring them.

    If an earlier, unconfirmed run kept older files, these stay: they are the tested state.
    """
    earlier = way_back.claim(place) or {"files": [], "reload": []}
    known = {item["path"] for item in earlier["files"]}
    fresh = [action for action in actions if "path" in action and action["path"] not in known]
    units = [action["reload"] for action in actions if action.get("reload")]
    return {
        "files": earlier["files"] + [way_back.keep(a["path"], a["kept_in"]) for a in fresh],
        "reload": list(dict.fromkeys(earlier["reload"] + units)),
    }


def install(actions: list[Action]) -> None:
    """Do the actions; a failure names its file."""
    for action in actions:
        try:
            perform(action)
        except HostFailure as error:
            # "keys: ..." would be masked as a secret.
            where = f"{action['path']} cannot be changed: " if "path" in action else ""
            raise HostFailure(f"{where}{error.reason}", error.detail) from error
