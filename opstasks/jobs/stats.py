"""What jobs and hosts use now (playbook: "Viewing resource usage of jobs")."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from opstasks.core.command import cmd
from opstasks.core.errors import Refused
from opstasks.fleet import old_program as remote
from opstasks.fleet.host import Host

INTERVAL_S = 1.0
# `docker system df` reads every volume; on a host with much in them it may take too long.
DOCKER_DF_WITHIN_S = 15.0
DOCKER_ROOT = "/var/lib/docker"


@dataclass(frozen=True)
class JobUse:
    """What one job uses: `cpu` in cores, the rest in bytes, `_s` a second; 0 for no limit."""

    id: str
    workspace: str
    action: str
    cpu: float
    cpu_limit: float
    memory: int
    memory_limit: int
    read: int
    written: int
    read_s: float
    written_s: float
    pids: int


@dataclass(frozen=True)
class Disk:
    """A file system that matters, by the places that lie on it."""

    places: tuple[str, ...]
    size: int
    free: int
    inodes_percent: float

    @property
    def percent(self) -> float:
        """How full it is."""
        return 100 * (1 - self.free / self.size) if self.size else 0.0


@dataclass(frozen=True)
class DockerUse:
    """What docker keeps of one kind: images, containers, volumes, build cache; for people."""

    kind: str
    count: str
    size: str
    reclaimable: str


@dataclass(frozen=True)
class Process:
    """One process; of its command line only the short name is read."""

    pid: int
    name: str
    user: str
    cpu: float
    memory: int


@dataclass(frozen=True)
class HostUse:
    """How a host stands."""

    load: tuple[float, ...]
    cpus: int
    memory: int
    memory_used: int
    swap: int
    swap_used: int
    disks: tuple[Disk, ...]
    processes: tuple[Process, ...]
    docker: tuple[DockerUse, ...] = ()


def jobs(host: Host) -> list[JobUse]:
    """What each running job of a host uses, in one round trip; raises Refused without docker."""
    command = remote.call("opstasks.jobs.onhost.stats", None)
    found = json.loads(host.service.output(command))
    if "error" in found:
        raise Refused(
            f"cannot ask docker: {found['error']}",
            host=host.name,
            hint=f"inv -H {host.name} doctor",
        )
    return [JobUse(**item) for item in found["jobs"]]


def host(host: Host, top: int, interval_s: float = INTERVAL_S) -> HostUse:
    """How a host stands, in one round trip."""
    spec = host.spec
    places = [spec.home, spec.high_privacy, spec.medium_privacy, DOCKER_ROOT, "/"]
    request = {"interval_s": interval_s, "places": places, "top": top}
    here, docker = host.service.gather(
        {
            "here": remote.call("opstasks.jobs.onhost.host_stats", request),
            "docker": cmd("docker", "system", "df", "--format", "{{json .}}").within(
                DOCKER_DF_WITHIN_S
            ),
        }
    ).values()
    if here.code:
        raise Refused("cannot read how it stands", host=host.name, tail=here.tail())
    return parse_host(json.loads(here.out), docker.out if docker.code == 0 else "")


def parse_host(found: dict[str, Any], docker: str) -> HostUse:
    """What `host` was answered; `docker` is empty when it took too long."""
    rows = [json.loads(line) for line in docker.splitlines() if line.startswith("{")]
    return HostUse(
        **{
            **found,
            "load": tuple(found["load"]),
            "disks": tuple(
                Disk(**{**item, "places": tuple(item["places"])}) for item in found["disks"]
            ),
            "processes": tuple(Process(**item) for item in found["processes"]),
        },
        docker=tuple(
            DockerUse(r["Type"], str(r["TotalCount"]), r["Size"], r["Reclaimable"]) for r in rows
        ),
    )
