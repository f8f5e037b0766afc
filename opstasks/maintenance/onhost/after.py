"""Runs on the host, as root: the facts of the checklist after a reboot. Changes nothing.

`main` gets a JSON request ``{database, config_dir, service_user, unit, sync_unit, jobs}``
and prints one JSON object.
"""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

from opstasks.onhost.commands import attempt
from opstasks.onhost.mounts import mounted, plain

LIMIT_S = 60.0
BRIDGE, CHAIN = "jobrunner-db", "JOBRUNNER-DB"


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    """Ask a command, within its time."""
    return attempt(*words, timeout_s=LIMIT_S)


def booted() -> float:
    """When the first process began, in seconds since the epoch."""
    fields = Path("/proc/1/stat").read_text().rpartition(")")[2].split()
    lines = Path("/proc/stat").read_text().splitlines()
    machine = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return machine + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def unit(name: str) -> dict[str, str]:
    """A unit as systemd has it."""
    done = ask("systemctl", "show", name, "--property=LoadState,UnitFileState,ActiveState,SubState")
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def network(config_dir: str, service_user: str) -> dict[str, Any]:
    """The database network and the rules that fence it in."""
    script = '. "$1/load-env" >/dev/null 2>&1; printf %s "${DATABASE_ACCESS_NETWORK:-}"'
    # The files are the service account's: root never runs what they say.
    words = ("runuser", "-u", service_user, "--", "bash", "-c", script, "bash", config_dir)
    name = ask(*words).stdout or "jobrunner-db"
    known = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) is not None
    jump = ask("iptables", "--wait", "-C", "DOCKER-USER", "-i", BRIDGE, "-j", CHAIN)
    rules = ask("iptables", "--wait", "-S", CHAIN).stdout.splitlines()
    return {
        "name": name,
        "there": known and ask("docker", "network", "inspect", name).returncode == 0,
        "fenced": jump.returncode == 0 and bool(rules) and "-j REJECT" in rules[-1],
    }


def wanted_mounts(text: str) -> list[str]:
    """The places that a fstab says are mounted at boot."""
    rows = [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]
    return sorted(
        plain(row[1])
        for row in rows
        if len(row) >= 4 and row[1].startswith("/") and "noauto" not in row[3].split(",")
    )


def jobs(database: str, ids: list[str]) -> dict[str, list[str]]:
    """State and status code of some jobs; one that is not there has none."""
    uri = f"file:{database}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
        found = {}
        for id in ids:
            text = "SELECT state, status_code FROM job WHERE id = ?"
            row = connection.execute(text, [id]).fetchone()
            if row:
                found[id] = [str(row[0]), str(row[1])]
        return found


def main(request: str) -> None:
    """Print what is so."""
    asked = json.loads(request)
    fstab = Path("/etc/fstab")
    answer: dict[str, Any] = {
        "booted": booted(),
        "docker": ask("docker", "info", "--format", "{{.ServerVersion}}").returncode == 0,
        "network": network(asked["config_dir"], asked["service_user"]),
        "mounted": sorted(set(mounted())),
        "fstab": wanted_mounts(fstab.read_text()) if fstab.exists() else [],
        "service": unit(asked["unit"]),
        "sync": unit(asked["sync_unit"]),
        "jobs": {},
        "error": "",
    }
    try:
        answer["jobs"] = jobs(asked["database"], asked["jobs"])
    except sqlite3.Error as error:
        answer["error"] = str(error)
    print(json.dumps(answer))
