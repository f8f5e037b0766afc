"""Closing the kept connections of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from opstasks.fleet.ssh_master import Master, kept


def chosen(names: Sequence[str]) -> list[Master]:
    """The kept connections of these hosts, or all of them."""
    return [master for master in kept() if not names or master.host in names]


def close(names: Sequence[str]) -> list[Master]:
    """End the kept connections of these hosts, or all of them; returns those that were open."""
    return [master for master in chosen(names) if master.exit()]
