"""Runs on the host, as the service account: what each job's container uses.

Two samples of all containers, taken together, one `interval_s` apart: as long for thirty jobs
as for one. (`docker stats` without a stream waits two seconds.)
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opstasks.jobrunner.remote_docker import Engine, EngineError

PREFIX = "os-job-"
TOGETHER = 8


def sample(engine: Any, name: str) -> dict[str, Any]:
    """What a container has used until now; nothing when it has just ended."""
    try:
        raw = engine.get("containers", name, "stats", stream="0", **{"one-shot": "1"})
    except EngineError as error:
        if error.status in (404, 409):
            return {}
        raise
    memory = raw.get("memory_stats") or {}
    if not memory.get("usage"):
        return {}
    details = memory.get("stats") or {}
    # What could be given back at once is no use; the same sum that docker's own client shows.
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    blocks = (raw.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return {
        "at": time.monotonic(),
        "cpu_ns": raw["cpu_stats"]["cpu_usage"]["total_usage"],
        "memory": max(0, memory["usage"] - cache),
        "memory_limit": memory.get("limit", 0),
        "read": total(blocks, "read"),
        "written": total(blocks, "write"),
        "pids": (raw.get("pids_stats") or {}).get("current", 0),
    }


def total(blocks: Any, kind: str) -> int:
    """The bytes of one kind over all devices."""
    return sum(item["value"] for item in blocks if item["op"].lower() == kind)


def difference(name: str, first: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
    """Two samples as what is used now; `cpu` in cores, rates in bytes a second."""
    seconds = max(0.001, last["at"] - first["at"])
    return {
        "id": name[len(PREFIX) :],
        "cpu": (last["cpu_ns"] - first["cpu_ns"]) / 1e9 / seconds,
        "memory": last["memory"],
        "memory_limit": last["memory_limit"],
        "read": last["read"],
        "written": last["written"],
        "read_s": max(0, last["read"] - first["read"]) / seconds,
        "written_s": max(0, last["written"] - first["written"]) / seconds,
        "pids": last["pids"],
    }


def sample_all(names: Any) -> dict[str, dict[str, Any]]:
    """A sample of every container, several connections at a time."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        return dict(zip(names, pool.map(lambda name: sample(Engine(), name), names)))  # noqa: B905


def limits(engine: Any, name: str) -> float:
    """How many cores a container may use; 0 for as many as there are."""
    try:
        raw = engine.get("containers", name, "json")["HostConfig"]
    except EngineError:
        return 0.0
    period = raw.get("CpuPeriod") or 100000
    return (raw.get("NanoCpus") or 0) / 1e9 or (raw.get("CpuQuota") or 0) / period


def main(request: str) -> None:
    """Print what each running job uses."""
    asked = json.loads(request)
    engine = Engine()
    try:
        listed = engine.get("containers", "json", filters={"name": [PREFIX]})
        boxes = {item["Names"][0].lstrip("/"): item.get("Labels") or {} for item in listed}
        names = [name for name in boxes if name.startswith(PREFIX)]
        first = sample_all(names)
        time.sleep(asked["interval_s"] if names else 0)
        last = sample_all(names)
        found = []
        for name in names:
            if first[name] and last[name]:
                item = difference(name, first[name], last[name])
                labels = {key: boxes[name].get(key, "") for key in ("workspace", "action")}
                found.append({**item, **labels, "cpu_limit": limits(engine, name)})
    except EngineError as error:
        print(json.dumps({"error": str(error)}))
        return
    print(json.dumps({"jobs": found}))
