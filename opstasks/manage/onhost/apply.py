"""Runs on the host as root: carries out actions in order, and stops at the first failure.

After each action, sends the number of actions done. Each action is safe to repeat. Files are
written under a temporary name and then renamed. `opstasks.manage.actions` describes them.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable
from typing import Any

from opstasks.manage.onhost import account_actions, file_actions, system_actions
from opstasks.onhost.protocol import HostFailure, error_text, send_part

Action = dict[str, Any]
ACTIONS: dict[str, Callable[[Action], None]] = {
    "packages": system_actions.packages,
    "group": account_actions.group,
    "user": account_actions.user,
    "disable_user": account_actions.disable,
    "member": account_actions.member,
    "directory": file_actions.directory,
    "rights": file_actions.rights,
    "file": file_actions.file,
    "remove": file_actions.remove,
    "setting": file_actions.setting,
    "tree": file_actions.tree,
    "checkout": system_actions.checkout,
    "origin": system_actions.origin,
    "create": system_actions.create,
    "probe": system_actions.probe,
    "enable": system_actions.enable,
    "disable_unit": system_actions.disable,
    "start": system_actions.start,
    "stop": system_actions.stop,
    "nothing": system_actions.nothing,
}


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Do the actions; report after each one how many are done."""
    os.umask(0o027)
    actions = request["actions"]
    for number, action in enumerate(actions, 1):
        perform(action)
        # If the client is gone, the rest is still done.
        with contextlib.suppress(BrokenPipeError):
            send_part(number)
    return {"done": len(actions)}


def perform(action: Action) -> None:
    """Do one action; raises HostFailure."""
    try:
        ACTIONS[action["do"]](action)
    except OSError as error:
        raise HostFailure(error_text(error)) from error
    except (LookupError, subprocess.SubprocessError) as error:
        raise HostFailure(str(error) or type(error).__name__) from error
