"""Runs on the host, as the service account: the containers of jobs, as docker describes them."""

import os
from datetime import datetime, timezone
from typing import Any

from opstasks.jobs.onhost.job_memory import used_bytes
from opstasks.onhost.engine import Engine, EngineError
from opstasks.onhost.limits import MAX_LINE, moment

CONTAINER_PREFIX, VOLUME_PREFIX = "os-job-", "os-volume-"
WORKSPACE = "/workspace"
# A busy docker takes its time. Two such requests and a busy database are still shorter than the
# client waits: if docker hangs, the answer has the database's part.
DOCKER_TIMEOUT_S = 50.0


def engine() -> Engine:
    """A connection to docker that times out before the client does."""
    return Engine("", DOCKER_TIMEOUT_S)


def list_containers(docker: Any) -> list[dict[str, Any]]:
    """Every job's container, stopped ones too; raises EngineError without an answer of docker.

    One that docker cannot describe has a `problem`: it hides no other.
    """
    listed = docker.get("containers", "json", all="1", filters={"name": [CONTAINER_PREFIX]})
    names = [item["Names"][0].lstrip("/") for item in listed if item.get("Names")]
    found = [_listed(docker, name) for name in names if name.startswith(CONTAINER_PREFIX)]
    return [item for item in found if item]


def _listed(docker: Any, name: str) -> dict[str, Any] | None:
    try:
        return inspect(docker, name)
    except EngineError as error:
        if not error.status:
            raise
        problem = str(error)[:MAX_LINE]
        return {"name": name, "image": "", "state": "unknown", "problem": problem}


def list_volumes(docker: Any, folder: str) -> list[str]:
    """The ids of jobs that have a volume; `folder` is that of bind-mounted ones.

    Raises EngineError.
    """
    listed = docker.get("volumes", filters={"name": [VOLUME_PREFIX]}).get("Volumes") or []
    names = [item["Name"] for item in listed if item["Name"].startswith(VOLUME_PREFIX)]
    try:
        # Neither SQLite nor JSON takes a name that is not UTF-8.
        bound = [name for name in sorted(os.listdir(folder)) if name.isprintable()]  # noqa: PTH208
    except OSError:
        bound = []
    return [*(name[len(VOLUME_PREFIX) :] for name in names), *bound]


def inspect(docker: Any, name: str) -> dict[str, Any] | None:
    """One container's state, use, limits and mount; None if it does not exist. Raises EngineError.

    Its environment is not read, not even the names of variables.
    """
    try:
        raw = docker.get("containers", name, "json")
    except EngineError as error:
        if error.status == 404:
            return None
        raise
    state = raw.get("State") or {}
    pid = state.get("Pid") or 0
    return {
        "name": name,
        "image": (raw.get("Config") or {}).get("Image") or "",
        "image_id": raw.get("Image") or "",
        "state": state.get("Status") or "",
        "pid": pid,
        "exit_code": state.get("ExitCode"),
        "oom_killed": bool(state.get("OOMKilled")),
        "started_at": epoch(state.get("StartedAt") or ""),
        "finished_at": epoch(state.get("FinishedAt") or ""),
        "cpu_limit_cores": cpu_limit(raw),
        "memory_limit_bytes": max(0, (raw.get("HostConfig") or {}).get("Memory") or 0),
        "memory_bytes": used_bytes(pid) if pid else None,
        "mount": _mount(raw),
    }


def cpu_limit(raw: dict[str, Any]) -> float:
    """How many processors a container may use; 0 means no limit, for which docker also has -1."""
    limits = raw.get("HostConfig") or {}
    period = limits.get("CpuPeriod") or 100_000
    found = (limits.get("NanoCpus") or 0) / 1e9 or (limits.get("CpuQuota") or 0) / period
    return max(0.0, found)


def epoch(text: str) -> float:
    """Docker's time in seconds since the epoch; 0 for none ("0001-..."), and for an invalid one."""
    try:
        whole = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return 0.0
    return moment(whole.replace(tzinfo=timezone.utc).timestamp())


def _mount(raw: dict[str, Any]) -> tuple[str, str] | None:
    """Kind and name (or folder) of what is mounted at /workspace."""
    for mount in raw.get("Mounts") or ():
        if mount.get("Destination") == WORKSPACE:
            return mount.get("Type") or "", mount.get("Name") or mount.get("Source") or ""
    return None
