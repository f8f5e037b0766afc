"""Answers to the commands of `status`."""

import json

from opstasks.core.result import Result


def answers_of_a_quiet_host():
    """The programs' answers on a host without jobs, releases and scheduled work."""
    found = {
        "jobs": {"now": 0, "flags": {}, "counts": {}, "jobs": []},
        "releases": {"releases": []},
        "fit": {},
        "maintenance": {"now_at": 0, "boot_id": "", "items": []},
    }
    return {name: Result("", 0, json.dumps({"ok": answer}), "") for name, answer in found.items()}
