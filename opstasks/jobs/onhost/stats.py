"""Runs on the host, as the service account: what each job's container uses.

Docker measures a container each second while a client listens. We listen to all containers at
once until each was measured twice: two seconds, however many jobs. (One reading of `docker stats`
takes as long, but lacks rates of disk traffic and limits.)
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from opstasks.jobs.onhost.job_containers import CONTAINER_PREFIX, cpu_limit
from opstasks.onhost.engine import Engine, EngineError
from opstasks.onhost.limits import MAX_COUNT
from opstasks.onhost.protocol import Answer, HostRefusal, Request

TOGETHER = 64


def measure(engine: Any, name: str) -> list[dict[str, Any]]:
    """Two samples of a container; fewer when it has just ended."""
    try:
        found = engine.first(2, "containers", name, "stats", stream="1")
    except EngineError as error:
        if error.status in (404, 409):
            return []
        raise
    return [sample(raw) for raw in found if (raw.get("memory_stats") or {}).get("usage")]


def sample(raw: dict[str, Any]) -> dict[str, Any]:
    """What a container has used up to this sample."""
    memory = raw["memory_stats"]
    details = memory.get("stats") or {}
    # Cache that can be freed at once does not count, as in docker's own client.
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    blocks = (raw.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return {
        "at": moment(raw["read"]),
        "cpu_ns": raw["cpu_stats"]["cpu_usage"]["total_usage"],
        "memory_bytes": max(0, memory["usage"] - cache),
        "memory_limit_bytes": memory_limit(memory.get("limit") or 0),
        "read_bytes": total(blocks, "read"),
        "written_bytes": total(blocks, "write"),
        "pids": (raw.get("pids_stats") or {}).get("current") or 0,
    }


def memory_limit(limit_bytes: int) -> Any:
    """A container's limit; None for the huge number with which a kernel says that there is none."""
    return limit_bytes if 0 < limit_bytes <= MAX_COUNT else None


def moment(text: str) -> float:
    """Docker's time in seconds, for the difference of two times; 0 for an invalid one."""
    whole, _, rest = text.rstrip("Z").partition(".")
    try:
        start = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S")
        fraction = int(rest[:9].ljust(9, "0")) / 1e9
    except ValueError:
        return 0.0
    return (start - datetime(2020, 1, 1)).total_seconds() + fraction


def total(blocks: Any, kind: str) -> int:
    """The bytes of one kind over all devices."""
    return sum(item["value"] for item in blocks if item["op"].lower() == kind)


def difference(first: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
    """The current use of a container, from two samples."""
    seconds = max(0.001, last["at"] - first["at"])
    read, written = (max(0, last[n] - first[n]) for n in ("read_bytes", "written_bytes"))
    return {
        "cpu_cores": max(0, last["cpu_ns"] - first["cpu_ns"]) / 1e9 / seconds,
        "read_bytes_per_s": read / seconds,
        "written_bytes_per_s": written / seconds,
        **{name: last[name] for name in last if name not in ("at", "cpu_ns")},
    }


def measure_all(names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Two samples of every container, measured in parallel."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        found = list(pool.map(lambda name: measure(Engine(), name), names))
    return dict(zip(names, found))  # noqa: B905 (both have the same length)


def limits(engine: Any, name: str) -> Any:
    """How many cores a container may use; None for no limit, or if it has just been removed."""
    try:
        return cpu_limit(engine.get("containers", name, "json")) or None
    except EngineError:
        return None


def job_uses(engine: Any) -> list[dict[str, Any]]:
    """What each running job uses; raises EngineError."""
    listed = engine.get("containers", "json", filters={"name": [CONTAINER_PREFIX]})
    boxes = {
        item["Names"][0].lstrip("/"): item.get("Labels") or {}
        for item in listed
        if item.get("Names")
    }
    names = [name for name in boxes if name.startswith(CONTAINER_PREFIX)]
    return [
        {
            "id": name[len(CONTAINER_PREFIX) :],
            **{key: boxes[name].get(key) or "" for key in ("workspace", "action")},
            **difference(*samples),
            "cpu_limit_cores": limits(engine, name),
        }
        for name, samples in measure_all(names).items()
        if len(samples) == 2
    ]


def main(request: Request) -> Answer:
    """Answer with what each running job uses; the request is empty."""
    try:
        return {"jobs": job_uses(Engine())}
    except EngineError as error:
        raise HostRefusal(f"cannot ask docker: {error}") from error
