"""How each host is reached: the answer of `ssh -G` and of hosts.yaml, without a connection."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from opstasks.core.command import cmd
from opstasks.core.errors import OpsError
from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet.agent import agent_path
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec, Inventory
from opstasks.fleet.route import Hop, route
from opstasks.fleet.ssh_master import kept


@dataclass(frozen=True)
class HostRoute:
    """How a host is reached.

    `through` are the gateways on the way, as user@address:port, `proxy_command` a program that
    makes the connection. `key_files` are those that exist; `has_agent`: an agent's keys are
    offered as well. `kept_s` is the age of the connection that is kept open, None without one.
    `check` is None if nothing has connected.
    """

    host: str
    address: str
    port: int
    user: str
    through: tuple[str, ...]
    proxy_command: str
    key_files: tuple[str, ...]
    has_agent: bool
    is_pinned: bool
    groups: tuple[str, ...]
    kept_s: float | None = None
    check: HostCheck | None = None


@dataclass(frozen=True)
class HostCheck:
    """What a connection said: the account, the key that was accepted ("" for a kept connection).

    `login_s` is the time until the first shell, `answer_s` that of one command on it.
    """

    user: str
    key: str
    login_s: float
    answer_s: float


def routes(specs: Sequence[HostSpec], inventory: Inventory) -> FleetResult[HostRoute]:
    """The route of each host; a host whose settings are wrong is refused."""
    ages = kept_ages()
    return FleetResult([_result(spec, inventory, ages) for spec in specs])


def _result(
    spec: HostSpec, inventory: Inventory, ages: Mapping[str, float]
) -> HostResult[HostRoute]:
    try:
        return HostResult(spec.name, "ok", route_of(spec, inventory.gateway_of(spec), ages))
    except OpsError as error:
        error.host = error.host or spec.name
        return HostResult(spec.name, error.outcome, error=error)


def route_of(spec: HostSpec, gateway: HostSpec | None, ages: Mapping[str, float]) -> HostRoute:
    """The route of a host; `ages` are those of kept connections. Raises Refused."""
    *before, last = route(spec, gateway)
    settings = last.settings
    files = [settings.path(text) for text in settings.many("identityfile")]
    return HostRoute(
        host=spec.name,
        address=settings.hostname,
        port=settings.port,
        user=settings.user,
        through=tuple(map(_where, before)),
        proxy_command=last.command,
        key_files=tuple(str(path) for path in dict.fromkeys(files) if path.is_file()),
        has_agent=bool(agent_path(settings)),
        is_pinned=bool(spec.host_keys),
        groups=spec.groups,
        kept_s=ages.get(spec.name),
    )


def _where(hop: Hop) -> str:
    """A gateway, as for ssh."""
    settings = hop.settings
    port = "" if settings.port == 22 else f":{settings.port}"
    return f"{settings.user}@{settings.hostname}{port}"


def kept_ages() -> dict[str, float]:
    """The age in seconds of the newest kept connection of each host."""
    ages: dict[str, float] = {}
    for master in kept():
        ages[master.host] = min(master.age_s, ages.get(master.host, master.age_s))
    return ages


# -- checking ----------------------------------------------------------------------------------


def check(host: Host, known: HostRoute) -> HostRoute:
    """Connect to a host and run one command; raises Unreachable or Refused."""
    begun_s = time.monotonic()
    host.login.open()
    opened_s = time.monotonic()
    host.login.run(cmd("true"))
    ended_s = time.monotonic()
    found = HostCheck(
        user=host.login_user(),
        key=host.transport.login_key(),
        login_s=opened_s - begun_s,
        answer_s=ended_s - opened_s,
    )
    return replace(known, check=found)
