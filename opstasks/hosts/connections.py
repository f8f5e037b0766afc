"""The kept connections of this machine, as rows."""

from __future__ import annotations

from collections.abc import Sequence

from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.ssh_master import Master, kept


def rows(specs: Sequence[HostSpec]) -> list[dict[str, object]]:
    """One row for each host; `kept_s` is the age of the open connection, or None."""
    ages: dict[str, float] = {}
    for master in kept():
        ages[master.host] = min(master.age_s, ages.get(master.host, master.age_s))
    return [
        {
            "host": spec.name,
            "address": _address(spec),
            "gateway": spec.gateway,
            "kept_s": round(ages[spec.name]) if spec.name in ages else None,
        }
        for spec in specs
    ]


def close(names: Sequence[str]) -> list[Master]:
    """End the kept connections of these hosts, or all of them; returns those that were open."""
    return [master for master in kept() if not names or master.host in names if master.exit()]


def _address(spec: HostSpec) -> str:
    """As for ssh: user@address:port, without what hosts.yaml does not say."""
    user = f"{spec.user}@" if spec.user else ""
    address = f"[{spec.address}]" if spec.port and ":" in spec.address else spec.address
    return f"{user}{address}" + (f":{spec.port}" if spec.port else "")
