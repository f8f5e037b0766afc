"""Runs on the host, as the service account: what is armed, what became of it, who paused.

`main` gets a JSON request ``{lock_dir, state_dir}`` and prints one JSON object. Needs no rights.
"""

import json
import time
from pathlib import Path
from typing import Any

from opstasks.primitives.remote_commands import call
from opstasks.primitives.remote_json import read_json


def records(folder: Path) -> list[dict[str, Any]]:
    """Every record, newest first."""
    found = [read_json(path) for path in sorted(folder.glob("*.json"), reverse=True)]
    return [record for record in found if record.get("id")]


def states(names: list[str]) -> dict[str, str]:
    """Units by name, with their state; one call for all."""
    if not names:
        return {}
    done = call("systemctl", "show", "--property=Id,ActiveState", *names)
    found = {}
    for block in done.stdout.split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[pairs.get("Id", "")] = pairs.get("ActiveState", "")
    return found


def main(request: str) -> None:
    """Print everything there is to know."""
    asked = json.loads(request)
    found = records(Path(asked["lock_dir"], "scheduled"))
    open_ids = [str(record["id"]) for record in found if not record.get("outcome")]
    units = [f"opstasks-{id}.{kind}" for id in open_ids for kind in ("timer", "service")]
    answer = {
        "now": time.time(),
        "zone": time.strftime("%Z"),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "records": found,
        "pause": read_json(Path(asked["state_dir"], "pause.json")),
        "units": states(units),
    }
    print(json.dumps(answer))
