"""Runs on the host, as the service account: a job's container, volume and log files."""

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opstasks.jobs.onhost.job_containers import CONTAINER_PREFIX, VOLUME_PREFIX, inspect
from opstasks.onhost.engine import EngineError
from opstasks.onhost.limits import moment

METADATA = "metadata.json"
# job-runner writes some 10 kB; a larger file is not its own.
MAX_METADATA_BYTES = 4 << 20


def surroundings(
    docker: Any, ids: Iterable[str], *, logs: str, volumes: str
) -> dict[str, dict[str, Any]]:
    """Container, volume and log files of jobs, by id.

    `logs` and `volumes` are folders of the host. Files are found without docker. After docker did
    not answer once, it is not asked again: each request may take the full timeout.
    """
    found: dict[str, dict[str, Any]] = {}
    silent: EngineError | None = None
    for job in ids:
        seen = found[job] = on_disk(job, logs=logs, volumes=volumes)
        try:
            if silent:
                raise silent
            seen.update(in_docker(docker, job, seen))
        except EngineError as error:
            seen["docker_problem"] = str(error)
            silent = None if error.status else error
    return found


def on_disk(job: str, *, logs: str, volumes: str) -> dict[str, Any]:
    """What can be read without docker."""
    folder = Path(volumes) / job
    files = log_files(logs, job)
    return {
        "volume": ("bind", str(folder)) if _is_folder(folder) else None,
        "logs": files,
        "exit_code": exit_code(files),
    }


def in_docker(docker: Any, job: str, seen: dict[str, Any]) -> dict[str, Any]:
    """What docker reports; `seen` is what is on disk. Raises EngineError."""
    name = VOLUME_PREFIX + job
    listed = docker.get("volumes", filters={"name": [name]}).get("Volumes") or []
    volume = ("volume", name) if any(item["Name"] == name for item in listed) else seen["volume"]
    container = inspect(docker, CONTAINER_PREFIX + job)
    mounted = container["mount"] if container else None
    return {"container": container, "volume": mounted or volume}


def log_files(base: str, job: str) -> list[dict[str, Any]]:
    """The files of a job's newest log folder; those that cannot be read are left out."""
    for month in sorted(_names(base), reverse=True):
        folder = Path(base) / month / (CONTAINER_PREFIX + job)
        if _is_folder(folder):
            found = [_log_file(folder / name) for name in _names(str(folder))]
            return [file for file in found if file]
    return []


def exit_code(files: list[dict[str, Any]]) -> int | None:
    """The exit code in a job's metadata.json, for which its container may be gone; else None."""
    for file in files:
        if Path(file["path"]).name == METADATA and file["size_bytes"] <= MAX_METADATA_BYTES:
            return _recorded_code(Path(file["path"]))
    return None


def _recorded_code(path: Path) -> int | None:
    try:
        found = json.loads(path.read_text())
        code = int(found["exit_code"])
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return code if abs(code) < 1 << 31 else None


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return []


def _log_file(path: Path) -> dict[str, Any] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(info.st_mode):
        return None
    return {"path": str(path), "size_bytes": info.st_size, "changed_at": moment(info.st_mtime)}


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
