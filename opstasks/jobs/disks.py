"""How full the disks of a host are, for every task that shows it.

The percentage is the one of `df` (`opstasks.onhost.disk_use`), and the disks that matter are those
of `places`. Where one number stands for a host, it is that of the fullest disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from opstasks.core.command import Command, cmd
from opstasks.fleet.inventory import HostSpec

DOCKER_ROOT = "/var/lib/docker"
# From here on, a disk needs a person.
FULL_PERCENT = 90
_LINE = re.compile(r"\s*(\d{1,3})%\s+(/.*)")


def places(spec: HostSpec) -> tuple[str, ...]:
    """The folders whose disks jobs and the service need."""
    return (spec.home, spec.high_privacy, spec.medium_privacy, DOCKER_ROOT, "/")


def use_command(spec: HostSpec) -> Command:
    """Print the percentage used of each disk; read it with `parse_use`."""
    return cmd("df", "--output=pcent,target", *places(spec))


def parse_use(text: str) -> dict[str, int]:
    """Percentage used by mount point, from df; invalid lines are left out."""
    matches = (_LINE.fullmatch(line) for line in text.split("\n")[1:])
    return {match[2]: int(match[1]) for match in matches if match}


def fullest(percents: Mapping[str, int]) -> tuple[str, int] | None:
    """The fullest disk: its mount point and its percentage; None if none is known."""
    return max(percents.items(), key=lambda item: item[1], default=None)
