"""systemd: reading a unit, starting and stopping it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from opstasks.core.command import Command, cmd

SYSTEMCTL = "/usr/bin/systemctl"  # the path that sudoers names
_PROPERTIES = (
    "LoadState,ActiveState,SubState,MainPID,NRestarts,UnitFileState,Result,StateChangeTimestamp"
)


@dataclass(frozen=True)
class UnitState:
    """A unit as systemd sees it; `since` is None for one that never ran."""

    name: str
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    enabled: str = ""
    result: str = ""
    main_pid: int = 0
    restarts: int = 0
    since: datetime | None = None

    @property
    def is_serving(self) -> bool:
        """Up, and not between two crashes."""
        return self.active == "active" and self.sub == "running"

    def describe(self) -> str:
        """For people: ``running``, ``inactive``, ``activating (auto-restart)``."""
        if self.load == "not-found":
            return "absent"
        return "running" if self.is_serving else f"{self.active} ({self.sub})"


def show(unit: str) -> Command:
    """Print a unit's state; read with `parse_show`. Needs no rights."""
    return cmd("env", "TZ=UTC", "systemctl", "show", unit, f"--property={_PROPERTIES}")


def start(unit: str) -> Command:
    """Start a unit as the service account, by the right that sudoers gives it."""
    return _control("start", unit)


def stop(unit: str) -> Command:
    """Stop a unit as the service account."""
    return _control("stop", unit)


def _control(verb: str, unit: str) -> Command:
    return cmd("sudo", "-n", SYSTEMCTL, verb, unit).changing().within(180)


def parse_show(unit: str, text: str) -> UnitState:
    """The state that `show` printed."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return UnitState(
        name=unit,
        load=found.get("LoadState", "not-found"),
        active=found.get("ActiveState", "inactive"),
        sub=found.get("SubState", "dead"),
        enabled=found.get("UnitFileState", ""),
        result=found.get("Result", ""),
        main_pid=int(found.get("MainPID") or 0),
        restarts=int(found.get("NRestarts") or 0),
        since=parse_timestamp(found.get("StateChangeTimestamp", "")),
    )


def parse_timestamp(text: str) -> datetime | None:
    """Systemd's ``Fri 2024-05-03 10:00:00 UTC``; None for an empty one."""
    words = text.split()
    if len(words) < 3:
        return None
    try:
        return datetime.strptime(" ".join(words[1:3]), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
