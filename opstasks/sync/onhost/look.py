"""Runs on the host as the service account: how the Level 3 sync stands. Changes nothing.

`main` gets a JSON request ``{files, timer, service, state, source}`` and prints the facts.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from opstasks.onhost.commands import call

PROPERTIES = "LoadState,ActiveState,UnitFileState,Result,InactiveEnterTimestampMonotonic"


def unit(name: str) -> dict[str, str]:
    """A unit's state."""
    done = call("systemctl", "show", name, f"--property={PROPERTIES}")
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def sha(path: str) -> str:
    """The hash of a file; empty for one that is not there."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def by_hand(source: str, service: str, proc: str = "/proc") -> list[int]:
    """Processes that copy from the source without us: the loop of the playbook, for one."""
    found = []
    for folder in Path(proc).glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if not words[0].endswith(b"rsync"):
                continue
            ours = service in (folder / "cgroup").read_text()
        except OSError:
            continue
        named = any(word.rstrip(b"/").endswith(source.rstrip("/").encode()) for word in words)
        if named and not ours:
            found.append(int(folder.name))
    return sorted(found)


def main(request: str) -> None:
    """Print the facts as one JSON object."""
    asked = json.loads(request)
    try:
        state: Any = json.loads(Path(asked["state"]).read_text())
    except (OSError, ValueError):
        state = {}
    print(
        json.dumps(
            {
                "files": {path: sha(path) for path in asked["files"]},
                "timer": unit(asked["timer"]),
                "service": unit(asked["service"]),
                "state": state,
                "by_hand": by_hand(asked["source"], asked["service"]),
                "now": time.time(),
            }
        )
    )
