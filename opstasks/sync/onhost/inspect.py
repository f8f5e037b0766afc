"""Runs on the host as the service account: read the state of the Level 3 sync."""

import hashlib
import os
import time
from pathlib import Path

from opstasks.onhost.commands import call
from opstasks.onhost.protocol import Answer, Request
from opstasks.sync.onhost import records

# Our name and systemd's name of each property of a unit.
PROPERTIES = {
    "load_state": "LoadState",
    "active_state": "ActiveState",
    "unit_file_state": "UnitFileState",
    "result": "Result",
}


def unit(name: str) -> dict[str, str]:
    """A unit's state; empty texts for missing values."""
    done = call("systemctl", "show", name, f"--property={','.join(PROPERTIES.values())}")
    found = dict(line.split("=", 1) for line in done.stdout.split("\n") if "=" in line)
    return {ours: found.get(theirs, "") for ours, theirs in PROPERTIES.items()}


def sha256(path: str) -> str:
    """The hash of a file; empty if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def by_hand(source: str, service: str, owner: int, proc: str = "/proc") -> list[int]:
    """Other processes that copy from the source: the loop of the playbook, for example.

    Only processes of `owner` (the service account) and root: other accounts cannot write to the
    target, but can start a process that looks like a copy.
    """
    found = []
    for folder in Path(proc).glob("[0-9]*"):
        try:
            if folder.stat().st_uid not in (0, owner):
                continue
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


def main(request: Request) -> Answer:
    """Answer with units, hashes of the installed files, the last record and other copiers."""
    try:
        owner = Path(request["state_dir"]).stat().st_uid
    except OSError:
        owner = os.geteuid()
    last, success_at = records.read(Path(request["state_dir"], records.FILE))
    return {
        "files": {path: sha256(path) for path in request["files"]},
        "timer": unit(request["timer"]),
        "service": unit(request["service"]),
        "last": records.as_document(last),
        "last_success_at": success_at,
        "by_hand": by_hand(request["source"], request["service"], owner),
        "now_at": time.time(),
    }
