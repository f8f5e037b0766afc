"""Changing what people get in by, with a way back (see remote_access.py)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from opstasks.core.errors import OpsError
from opstasks.fleet import old_program as remote
from opstasks.fleet.host import Host
from opstasks.manage.facts import access_dir

SCRIPT = "opstasks.manage.onhost.access"
# How long the host waits for our word before it puts the old files back.
PATIENCE_S = 90
TRIES = 3


def change_access(host: Host, actions: list[dict[str, Any]], *, prove: bool) -> str:
    """Install, prove by a fresh connection, confirm; the reason why it was undone, or "".

    The present connection is kept meanwhile. Without `prove` nothing is undone for the lack of
    a second way in (a bad file still is).
    """
    request = {"actions": actions, "patience_s": PATIENCE_S, "script": _expiry(host)}
    answer = _ask(host, "install", request)
    if answer["reason"]:
        return str(answer["reason"])
    problem = prove_access(host) if prove else ""
    if problem:
        _ask(host, "putback", {})
        return f"the old files are back, and in force: {problem}"
    answer = _ask(host, "confirm", {})
    return str(answer["reason"])


def prove_access(host: Host) -> str:
    """Come in once more, as far as root; the reason why that failed, or ""."""
    problem = ""
    for attempt in range(TRIES):
        try:
            host.prove("root")
        except OpsError as error:
            problem = f"a fresh connection failed: {error.message}"
            # sshd does not listen for a moment while it reloads.
            host.pause(0.5 * (attempt + 1))
            continue
        return ""
    return problem


def _expiry(host: Host) -> str:
    """The program that puts the old files back when nobody says anything."""
    request = json.dumps({"do": "expire", "place": access_dir(host.spec)})
    return f"{remote.text(SCRIPT)}\n\nmain({request!r})\n"


def _ask(host: Host, verb: str, request: dict[str, Any]) -> dict[str, Any]:
    asked = {**request, "do": verb, "place": access_dir(host.spec)}
    command = remote.call(SCRIPT, asked)
    result = host.root.run(replace(command, mutates=True))
    answer: dict[str, Any] = json.loads(result.out.strip().splitlines()[-1])
    return answer
