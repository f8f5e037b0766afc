"""docker: the containers of a host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opstasks.core.command import Command, cmd


@dataclass(frozen=True)
class Container:
    """One container; `state` is running, exited, ...; `cpus` and `memory` (bytes) are limits.

    Times are seconds since the epoch, 0 for one that has not come. `mount` is what lies at
    /workspace: ("volume", name) or ("bind", folder). What `docker ps` does not tell is empty.
    """

    name: str
    image: str
    state: str
    status: str = ""
    image_id: str = ""
    pid: int = 0
    exit_code: int | None = None
    oom_killed: bool = False
    started: float = 0.0
    finished: float = 0.0
    cpus: float = 0.0
    memory: int = 0
    mount: tuple[str, ...] = ()

    @property
    def job_id(self) -> str:
        """The job whose container this is."""
        return self.name.removeprefix("os-job-")


def container_of(raw: Mapping[str, Any]) -> Container:
    """A container as our script on the host describes it."""
    mount = tuple(raw["mount"][0]) if raw["mount"] else ()
    return Container(**{**raw, "mount": mount})


def containers(name_prefix: str) -> Command:
    """List containers, stopped ones too, whose name begins so; read with `parse_containers`."""
    return cmd(
        "docker",
        "ps",
        "--all",
        "--no-trunc",
        "--filter",
        f"name=^{name_prefix}",
        "--format",
        "{{json .}}",
    )


def parse_containers(text: str) -> tuple[Container, ...]:
    """The containers that `containers` printed."""
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return tuple(
        Container(name=r["Names"], image=r["Image"], state=r.get("State", ""), status=r["Status"])
        for r in rows
    )
