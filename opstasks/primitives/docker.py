"""docker: the containers of a host."""

from __future__ import annotations

import json
from dataclasses import dataclass

from opstasks.command import Command, cmd


@dataclass(frozen=True)
class Container:
    """One container as `docker ps` lists it; `state` is running, exited, ..."""

    name: str
    image: str
    state: str
    status: str


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
