"""Runs on the host, as root: the facts of the checklist after a reboot. Changes nothing."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opstasks.maintenance.onhost.account import LIMITED, account
from opstasks.maintenance.onhost.file_systems import boot_mounts
from opstasks.maintenance.onhost.query import query
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.units import HostUnit, unit_of
from opstasks.onhost.commands import attempt
from opstasks.onhost.database_values import line
from opstasks.onhost.mounts import mounted
from opstasks.onhost.protocol import HostFailure

LIMIT_S, LOAD_LIMIT_S = 60.0, 20.0
BRIDGE, CHAIN = "jobrunner-db", "JOBRUNNER-DB"
DEFAULT_NETWORK = "jobrunner-db"


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Read the facts. The request: ``site``, ``sync_unit``, ``jobs`` (ids of requeued jobs)."""
    site = site_of(request)
    fstab = Path("/etc/fstab")
    answer: dict[str, Any] = {
        "booted_at": booted_at(),
        "has_docker": ask("docker", "info", "--format", "{{.ServerVersion}}").returncode == 0,
        "network": network(site),
        "mounted": sorted(set(mounted())),
        "fstab": boot_mounts(text_of(fstab)) if fstab.exists() else [],
        "service": asdict(unit(site.unit)),
        "sync": asdict(unit(request["sync_unit"])),
        "jobs": {},
        "error": "",
    }
    try:
        answer["jobs"] = jobs(site, request["jobs"])
    except (HostFailure, sqlite3.Error) as error:
        answer["error"] = str(error)
    return answer


def text_of(path: Path) -> str:
    """A file's text, names that are not UTF-8 included."""
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command, with a time limit."""
    return attempt(*words, timeout_s=LIMIT_S)


def booted_at() -> float:
    """When the first process began, in seconds since the epoch."""
    fields = Path("/proc/1/stat").read_text().rpartition(")")[2].split()
    lines = Path("/proc/stat").read_text().split("\n")
    machine = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return machine + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def unit(name: str) -> HostUnit:
    """A unit in systemd's words; all empty when systemd does not answer."""
    properties = "LoadState,UnitFileState,ActiveState,SubState"
    return unit_of(ask("systemctl", "show", name, f"--property={properties}").stdout)


def network(site: Site) -> dict[str, Any]:
    """The database network, and whether its firewall rules are in place."""
    name = network_name(site) or DEFAULT_NETWORK
    is_name = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) is not None
    jump = ask("iptables", "--wait", "-C", "DOCKER-USER", "-i", BRIDGE, "-j", CHAIN)
    rules = ask("iptables", "--wait", "-S", CHAIN).stdout.rstrip("\n").split("\n")
    return {
        "name": name,
        "exists": is_name and ask("docker", "network", "inspect", name).returncode == 0,
        "is_isolated": jump.returncode == 0 and bool(rules) and "-j REJECT" in rules[-1],
    }


def network_name(site: Site) -> str:
    """The name in the settings, read as the service account: root must not run its files."""
    load = f'{LIMITED}; . "$1/load-env" >/dev/null 2>&1'
    words = ("bash", "-c", load + '; printf %s "${DATABASE_ACCESS_NETWORK:-}"', "bash")
    with contextlib.suppress(HostFailure):  # there is no such account
        options = account(site)
        return attempt(*words, site.config_dir, timeout_s=LOAD_LIMIT_S, **options).stdout
    return ""


def jobs(site: Site, ids: list[str]) -> dict[str, dict[str, str]]:
    """State and status code of jobs, by id; a job that is not in the database is left out."""
    text = "SELECT id, state, status_code FROM job WHERE id IN (SELECT value FROM json_each(?))"
    return {
        line(id): {"state": line(state), "code": line(code)}
        for id, state, code in query(site, text, json.dumps(ids))
    }
