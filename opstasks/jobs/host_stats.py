"""`host.stats`: load, memory, disks, docker's disk use and the busiest processes of a host."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import msgspec

from opstasks.core.command import Command, cmd
from opstasks.core.fields import Amount, Count, Line, Small
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.jobs import disks

INTERVAL_S = 1.0
# `docker system df` reads every volume, which may take long on a host with large volumes.
DOCKER_DF_TIMEOUT_S = 15.0
# Docker prints decimal units, with about three digits.
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,9})?) ?([kKMGTP]?)B\b.*", re.DOTALL)
_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


@dataclass(frozen=True)
class DiskUse:
    """A file system, with the folders of interest that are on it; the percentages as in df."""

    places: tuple[Line, ...]
    size_bytes: Count
    free_bytes: Count
    used_percent: Small
    inodes_percent: Small


@dataclass(frozen=True)
class DockerUse:
    """Docker's disk use for one kind of object: images, containers, volumes or build cache."""

    kind: Line
    count: Count
    size_bytes: Count
    reclaimable_bytes: Count


@dataclass(frozen=True)
class ProcessUse:
    """One process; only the short name of its command line is read."""

    pid: Count
    name: Line
    user: Line
    cpu_cores: Amount
    memory_bytes: Count


@dataclass(frozen=True)
class HostUse:
    """What a host uses; `load` over 1, 5 and 15 minutes. `docker` is None if it did not answer."""

    load: tuple[Amount, Amount, Amount]
    cpus: Count
    memory_bytes: Count
    memory_used_bytes: Count
    swap_bytes: Count
    swap_used_bytes: Count
    disks: tuple[DiskUse, ...]
    processes: tuple[ProcessUse, ...]
    docker: tuple[DockerUse, ...] | None = None


class HostStatsRequest(msgspec.Struct, frozen=True):
    """`interval_s` is the time between two measurements; `top` is a number of processes."""

    interval_s: float
    places: tuple[str, ...]
    top: int


HOST_STATS = Program("opstasks.jobs.onhost.host_stats", HostStatsRequest, HostUse)


def read_host_stats(host: Host, top: int) -> HostUse:
    """What a host uses, with its `top` busiest processes, in one round trip."""
    spec = host.spec
    places = disks.places(spec)
    results = host.service.gather(
        {
            "here": HOST_STATS.command(HostStatsRequest(INTERVAL_S, places, top)),
            "docker": docker_df(),
        }
    )
    use = HOST_STATS.decode(results["here"], host.name)
    docker = results["docker"]
    return replace(use, docker=parse_docker_df(docker.out) if docker.code == 0 else None)


def docker_df() -> Command:
    """Print docker's disk use; parse it with `parse_docker_df`."""
    command = cmd("docker", "system", "df", "--format", "{{json .}}")
    return command.within(DOCKER_DF_TIMEOUT_S)


def parse_docker_df(text: str) -> tuple[DockerUse, ...] | None:
    """Docker's disk use, by kind; None when the output is not valid."""
    try:
        return tuple(_docker_use(line) for line in text.split("\n") if line.startswith("{"))
    except (msgspec.DecodeError, ValueError, KeyError):
        return None


def _docker_use(line: str) -> DockerUse:
    found = msgspec.json.decode(line, type=dict[str, str | int])
    count = str(found["TotalCount"])
    if not (count.isascii() and count.isdigit() and len(count) < 10):
        raise ValueError(count)
    sizes = (_bytes_of(str(found[name])) for name in ("Size", "Reclaimable"))
    return DockerUse(str(found["Type"]), int(count), *sizes)


def _bytes_of(text: str) -> int:
    """The bytes of a size as docker prints it: ``1.23GB``, ``1.1GB (89%)``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return round(float(match[1]) * _UNITS[match[2]])
