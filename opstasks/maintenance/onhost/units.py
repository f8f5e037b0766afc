"""Runs on the host: reading, starting and stopping units."""

import os
from dataclasses import dataclass
from typing import Literal

from opstasks.onhost.commands import call, required
from opstasks.onhost.limits import check
from opstasks.onhost.protocol import HostFailure
from opstasks.onhost.unit_control import refuse_unstartable

SYSTEMCTL = "/usr/bin/systemctl"
SHOW_TIMEOUT_S = 60.0
_PROPERTIES = "LoadState,ActiveState,SubState,UnitFileState"

# "starting": systemd starts it, or waits to start it again.
ServiceClaim = Literal["up", "starting", "stopped", "failed"]
_CLAIMS: dict[str, ServiceClaim] = {
    "active": "up",
    "activating": "starting",
    "inactive": "stopped",
    "failed": "failed",
}


@dataclass(frozen=True)
class HostUnit:
    """A unit in systemd's own words; `enabled` is "" for a unit without a file."""

    load: str = ""
    active: str = ""
    sub: str = ""
    enabled: str = ""

    def __post_init__(self) -> None:
        check(self)

    @property
    def claim(self) -> ServiceClaim | None:
        """Its state in the words of `opstasks.core.state`; None if it is not known."""
        return _CLAIMS.get(self.active)


def unit_of(text: str) -> HostUnit:
    """The unit that ``systemctl show`` printed; missing values are empty."""
    found = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
    return HostUnit(
        load=found.get("LoadState", ""),
        active=found.get("ActiveState", ""),
        sub=found.get("SubState", ""),
        enabled=found.get("UnitFileState", ""),
    )


def read_unit(unit: str) -> HostUnit:
    """Read a unit. Raises HostFailure."""
    words = ("systemctl", "show", unit, f"--property={_PROPERTIES}")
    return unit_of(required("cannot read the unit", *words, timeout=SHOW_TIMEOUT_S))


def unit_states(names: list[str]) -> dict[str, str]:
    """The active state of units, by name; one call for all. Raises HostFailure."""
    if not names:
        return {}
    words = ("systemctl", "show", "--property=Id,ActiveState", *names)
    text = required("cannot read the units of scheduled work", *words, timeout=SHOW_TIMEOUT_S)
    found = {}
    for block in text.split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        found[pairs.get("Id", "")] = pairs.get("ActiveState", "")
    return found


def is_down(unit: str) -> bool:
    """Whether a unit is neither up nor starting."""
    return read_unit(unit).active in ("inactive", "failed")


def is_up(unit: str) -> bool:
    """Whether a unit is up, and not waiting for a restart."""
    return read_unit(unit).active == "active"


def systemctl(verb: str, unit: str, timeout_s: int = 200) -> None:
    """Start or stop a unit. Raises HostFailure.

    The service account may do that with its own unit: `manage` grants exactly these commands.
    """
    sudo = () if os.geteuid() == 0 else ("sudo", "-n")
    required(f"cannot {verb} {unit}", *sudo, SYSTEMCTL, verb, unit, timeout=timeout_s)


def start_unit(unit: str, user: str) -> None:
    """Start a unit of the account `user`, also one that failed too often for systemd.

    Raises HostRefusal if it would run as another account, HostFailure if it does not start.
    """
    refuse_unstartable(unit, user)
    call(SYSTEMCTL, "reset-failed", unit, timeout=60)
    systemctl("start", unit)


def stop_unit(unit: str) -> None:
    """Stop a unit if it is up, and verify that it is down. Raises HostFailure."""
    if not is_down(unit):
        systemctl("stop", unit)
    if not is_down(unit):
        raise HostFailure(f"{unit} does not stop")
