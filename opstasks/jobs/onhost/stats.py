"""Runs on the host, as the service account: what each job's container uses.

Docker measures a container each second while somebody listens. We listen to all at once until
each was measured twice: two seconds for thirty jobs as for one. (`docker stats` for one reading
takes as long, but has no rates of disk traffic and no limits.)
"""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from opstasks.onhost.engine import Engine, EngineError

PREFIX = "os-job-"
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
    """What a container has used until then."""
    memory = raw["memory_stats"]
    details = memory.get("stats") or {}
    # What could be given back at once is no use; the same sum that docker's own client shows.
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    blocks = (raw.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return {
        "at": moment(raw["read"]),
        "cpu_ns": raw["cpu_stats"]["cpu_usage"]["total_usage"],
        "memory": max(0, memory["usage"] - cache),
        "memory_limit": memory.get("limit", 0),
        "read": total(blocks, "read"),
        "written": total(blocks, "write"),
        "pids": (raw.get("pids_stats") or {}).get("current", 0),
    }


def moment(text: str) -> float:
    """Docker's time, in seconds from some beginning."""
    whole, _, rest = text.rstrip("Z").partition(".")
    start = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return (start - datetime(2020, 1, 1)).total_seconds() + float(f"0.{rest or 0}")


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


def measure_all(names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Two samples of every container, all listened to at once."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        found = list(pool.map(lambda name: measure(Engine(), name), names))
    return dict(zip(names, found))  # noqa: B905 (both have the same length)


def limits(engine: Any, name: str) -> float:
    """How many cores a container may use; 0 for as many as there are."""
    try:
        raw = engine.get("containers", name, "json")["HostConfig"]
    except EngineError:
        return 0.0
    period = raw.get("CpuPeriod") or 100000
    return (raw.get("NanoCpus") or 0) / 1e9 or (raw.get("CpuQuota") or 0) / period


def main(request: str) -> None:
    """Print what each running job uses; there is nothing to ask for."""
    engine = Engine()
    try:
        listed = engine.get("containers", "json", filters={"name": [PREFIX]})
        boxes = {item["Names"][0].lstrip("/"): item.get("Labels") or {} for item in listed}
        names = [name for name in boxes if name.startswith(PREFIX)]
        found = []
        for name, samples in measure_all(names).items():
            if len(samples) == 2:
                item = difference(name, *samples)
                labels = {key: boxes[name].get(key, "") for key in ("workspace", "action")}
                found.append({**item, **labels, "cpu_limit": limits(engine, name)})
    except EngineError as error:
        print(json.dumps({"error": str(error)}))
        return
    print(json.dumps({"jobs": found}))
