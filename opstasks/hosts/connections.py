"""Closing the kept connections of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet.ssh_master import Master, kept


@dataclass(frozen=True)
class KeptConnection:
    """A kept connection: its age, and whether it was closed."""

    age_s: float
    changed: bool


def chosen(names: Sequence[str]) -> list[Master]:
    """The kept connections of these hosts, or all of them."""
    return [master for master in kept() if not names or master.host in names]


def close(names: Sequence[str]) -> list[Master]:
    """End the kept connections of these hosts, or all of them; returns those that were open."""
    return [master for master in chosen(names) if master.exit()]


def reports(found: Sequence[Master], *, closed: bool) -> FleetResult[list[KeptConnection]]:
    """The connections of each host, as `--json` shows them."""
    by_host: dict[str, list[KeptConnection]] = {}
    for master in found:
        by_host.setdefault(master.host, []).append(KeptConnection(master.age_s, closed))
    outcome = "changed" if closed else "ok"
    return FleetResult([HostResult(host, outcome, each) for host, each in by_host.items()])
