"""Values that this machine knows without asking a host: hosts.yaml, and what was last seen."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opstasks.cli.completion_words import Candidate
from opstasks.core.errors import OpsError

if TYPE_CHECKING:
    from opstasks.fleet.inventory import Inventory

# Of a file or name that is missing or wrong; ~NAME without such an account is a RuntimeError.
_UNUSABLE = (OpsError, OSError, RuntimeError, ValueError)
# The hosts that were not ok in the task's last run.
FAILED = Candidate("@failed", "not ok in the task's last run")


class KnownValues:
    """What Tab can offer; a file that is missing or wrong offers nothing."""

    def __init__(self, inventory: str = "") -> None:
        self._named = inventory

    def hosts(self) -> list[Candidate]:
        """The hosts."""
        found = self._inventory
        return (
            [Candidate(name, spec.address) for name, spec in found.hosts.items()] if found else []
        )

    def patterns(self) -> list[Candidate]:
        """Everything that -H knows."""
        found = self._inventory
        if found is None:
            return [FAILED]
        groups = [Candidate(name, ", ".join(hosts)) for name, hosts in found.groups.items()]
        everyone = Candidate("all", f"{len(found.hosts)} hosts")
        return [*self.hosts(), *groups, everyone, FAILED]

    def seen(self, kind: str, hosts: Sequence[str]) -> list[Candidate]:
        """The values last seen, newest first; only those of the hosts that -H selects, if any."""
        from opstasks.fleet import last_seen

        try:
            path = last_seen.path_of(self._file)
        except _UNUSABLE:
            return []
        found = last_seen.values(path, kind, self._selected(hosts) if hosts else None)
        return [Candidate(entry.value, entry.note or entry.host) for entry in found]

    def _selected(self, patterns: Sequence[str]) -> set[str] | None:
        """The hosts that -H selects; None when that is not known."""
        found = self._inventory
        if found is None or any("@" in pattern for pattern in patterns):
            return None
        try:
            return {spec.name for spec in found.select(patterns)}
        except OpsError:
            return None

    @functools.cached_property
    def _file(self) -> Path | None:
        from opstasks.fleet.hosts_file import find_inventory

        return find_inventory(self._named or None)

    @functools.cached_property
    def _inventory(self) -> Inventory | None:
        from opstasks.fleet.host_settings import load

        try:
            return load(self._file)
        except _UNUSABLE:
            return None
