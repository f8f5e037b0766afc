"""`host.stats`: load, memory, disks, docker's disk use and the busiest processes of a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from opstasks.core.command import Command, cmd
from opstasks.core.fields import Amount, Count, Line
from opstasks.core.formats import size_text
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program

INTERVAL_S = 1.0
# `docker system df` reads every volume, which may take long on a host with large volumes.
DOCKER_DF_TIMEOUT_S = 15.0
DOCKER_ROOT = "/var/lib/docker"
# The headers and the rows of a table.
Table = tuple[list[str], list[list[object]]]


@dataclass(frozen=True)
class DiskUse:
    """A file system, with the folders of interest that are on it."""

    places: tuple[Line, ...]
    size_bytes: Count
    free_bytes: Count
    inodes_percent: Amount

    @property
    def used_percent(self) -> float:
        """How full it is."""
        return 100 * (1 - self.free_bytes / self.size_bytes) if self.size_bytes else 0.0


@dataclass(frozen=True)
class DockerUse:
    """Docker's disk use for one kind of object: images, containers, volumes or build cache."""

    kind: Line
    count: Line
    size: Line
    reclaimable: Line


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
    """What a host uses; `load` over 1, 5 and 15 minutes. `docker` is empty if it did not answer."""

    load: tuple[Amount, Amount, Amount]
    cpus: Count
    memory_bytes: Count
    memory_used_bytes: Count
    swap_bytes: Count
    swap_used_bytes: Count
    disks: tuple[DiskUse, ...]
    processes: tuple[ProcessUse, ...]
    docker: tuple[DockerUse, ...] = ()


class HostStatsRequest(msgspec.Struct, frozen=True):
    """`interval_s` is the time between two measurements; `top` is a number of processes."""

    interval_s: float
    places: tuple[str, ...]
    top: int


HOST_STATS = Program("opstasks.jobs.onhost.host_stats", HostStatsRequest, HostUse)


def read_host_stats(host: Host, top: int) -> HostUse:
    """What a host uses, with its `top` busiest processes, in one round trip."""
    spec = host.spec
    places = (spec.home, spec.high_privacy, spec.medium_privacy, DOCKER_ROOT, "/")
    results = host.service.gather(
        {
            "here": HOST_STATS.command(HostStatsRequest(INTERVAL_S, places, top)),
            "docker": docker_df(),
        }
    )
    use = HOST_STATS.decode(results["here"], host.name)
    docker = results["docker"]
    return replace(use, docker=parse_docker_df(docker.out) if docker.code == 0 else ())


def docker_df() -> Command:
    """Print docker's disk use; parse it with `parse_docker_df`."""
    command = cmd("docker", "system", "df", "--format", "{{json .}}")
    return command.within(DOCKER_DF_TIMEOUT_S)


def parse_docker_df(text: str) -> tuple[DockerUse, ...]:
    """Docker's disk use, by kind; empty when the output is not valid."""
    try:
        return tuple(_docker_use(line) for line in text.split("\n") if line.startswith("{"))
    except (msgspec.DecodeError, UnicodeError, KeyError):
        return ()


def _docker_use(line: str) -> DockerUse:
    found = msgspec.json.decode(line, type=dict[str, str | int])
    names = ("Type", "TotalCount", "Size", "Reclaimable")
    return DockerUse(*(str(found[name]) for name in names))


# -- as tables -------------------------------------------------------------------------------


def tables(found: Mapping[str, HostUse]) -> list[Table]:
    """Four tables for all hosts: hosts, disks, docker and processes."""
    hosts = list(found.items())
    return [
        (
            ["host", "load 1 5 15 min", "cpus", "memory used", "swap used"],
            [_host_row(name, use) for name, use in hosts],
        ),
        (
            ["host", "disk", "size", "free", "% used"],
            [_disk_row(name, disk) for name, use in hosts for disk in use.disks],
        ),
        (
            ["host", "docker", "count", "size", "reclaimable"],
            [row for name, use in hosts for row in _docker_rows(name, use)],
        ),
        (
            ["host", "pid", "user", "process", "cpu", "memory"],
            [_process_row(name, one) for name, use in hosts for one in use.processes],
        ),
    ]


def _host_row(name: str, use: HostUse) -> list[object]:
    return [
        name,
        " ".join(f"{load:.2f}" for load in use.load),
        use.cpus,
        f"{size_text(use.memory_used_bytes)} of {size_text(use.memory_bytes)}",
        f"{size_text(use.swap_used_bytes)} of {size_text(use.swap_bytes)}"
        if use.swap_bytes
        else "none",
    ]


def _disk_row(name: str, disk: DiskUse) -> list[object]:
    size, free = size_text(disk.size_bytes), size_text(disk.free_bytes)
    return [name, " ".join(disk.places), size, free, f"{disk.used_percent:.0f}"]


def _docker_rows(name: str, use: HostUse) -> list[list[object]]:
    if not use.docker:
        return [[name, "did not answer in time", "", "", ""]]
    return [[name, item.kind, item.count, item.size, item.reclaimable] for item in use.docker]


def _process_row(name: str, use: ProcessUse) -> list[object]:
    cpu, memory = f"{use.cpu_cores:.2f}", size_text(use.memory_bytes)
    return [name, use.pid, use.user, use.name, cpu, memory]
