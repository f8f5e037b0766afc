"""Runs on the host, as the service account: what is armed, what became of it, who paused.

`main` gets a JSON request ``{lock_dir, state_dir}`` and prints one JSON object. Needs no rights.
"""

import json
import time
from pathlib import Path
from typing import Any

from opstasks.onhost.commands import call
from opstasks.onhost.json_files import read_json


def records(folder: Path) -> list[dict[str, Any]]:
    """Every record."""
    found = [read_json(path) for path in sorted(folder.glob("*.json"), reverse=True)]
    return [record for record in found if record.get("id")]


def again(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """A record as it is now, unless it was over before."""
    return record if record.get("outcome") else read_json(folder / f"{record['id']}.json") or record


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
    folder = Path(asked["lock_dir"], "scheduled")
    found = records(folder)
    open_ids = [str(record["id"]) for record in found if not record.get("outcome")]
    units = [f"opstasks-{id}.{kind}" for id in open_ids for kind in ("timer", "service")]
    state = states(units)
    # After the units: one that has ended meanwhile has left its outcome.
    found = [again(folder, record) for record in found]
    answer = {
        "now": time.time(),
        "zone": time.strftime("%Z"),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "records": found,
        "pause": read_json(Path(asked["state_dir"], "pause.json")),
        "units": state,
    }
    print(json.dumps(answer))
