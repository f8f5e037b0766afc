"""systemd: reading a unit, starting and stopping it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from opstasks.core.command import Command, cmd

SYSTEMCTL = "/usr/bin/systemctl"  # the path that sudoers names
# The state of a unit when systemd does not report it.
UNKNOWN = "unknown"
_WORD = re.compile(r"[a-z-]{1,40}")
_NUMBER = re.compile(r"[0-9]{1,10}")
_PROPERTIES = (
    "LoadState,ActiveState,SubState,MainPID,NRestarts,UnitFileState,Result,StateChangeTimestamp"
    ",User,DropInPaths"
)


@dataclass(frozen=True)
class UnitState:
    """A unit as systemd sees it; `since` is None if it never ran, `user` is "" if unknown."""

    name: str
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    enabled: str = ""
    result: str = ""
    main_pid: int = 0
    restarts: int = 0
    since: datetime | None = None
    user: str = ""
    drop_ins: tuple[str, ...] = ()

    @property
    def is_unknown(self) -> bool:
        """Whether systemd did not report the unit's state."""
        return self.load == UNKNOWN

    @property
    def is_down(self) -> bool:
        """Neither up nor starting."""
        return self.active in ("inactive", "failed")

    @property
    def is_serving(self) -> bool:
        """Up, and not waiting for a restart after a crash."""
        return self.active == "active" and self.sub == "running"

    def describe(self) -> str:
        """For people: ``running``, ``inactive``, ``activating (auto-restart)``."""
        if self.is_unknown:
            return UNKNOWN
        if self.load == "not-found":
            return "absent"
        return "running" if self.is_serving else f"{self.active} ({self.sub})"


def show(unit: str) -> Command:
    """Print a unit's state; read with `parse_show`. Needs no rights."""
    return cmd("env", "TZ=UTC", "systemctl", "show", unit, f"--property={_PROPERTIES}")


def start(unit: str) -> Command:
    """Start a unit as the service account, which sudoers allows."""
    return _control("start", unit)


def stop(unit: str) -> Command:
    """Stop a unit as the service account."""
    return _control("stop", unit)


def _control(verb: str, unit: str) -> Command:
    return cmd("sudo", "-n", SYSTEMCTL, verb, unit).changing().within(180)


def parse_show(unit: str, text: str) -> UnitState:
    """The state that `show` printed; unknown for invalid output."""
    found = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
    main_pid = _number(found.get("MainPID", ""))
    restarts = _number(found.get("NRestarts", ""))
    load, active, sub = (found.get(name, "") for name in ("LoadState", "ActiveState", "SubState"))
    words = all(_WORD.fullmatch(state) for state in (load, active, sub))
    if not words or main_pid is None or restarts is None:
        return UnitState(unit, load=UNKNOWN, active=UNKNOWN, sub=UNKNOWN)
    return UnitState(
        unit,
        load,
        active,
        sub,
        enabled=found.get("UnitFileState", ""),
        result=found.get("Result", ""),
        main_pid=main_pid,
        restarts=restarts,
        since=parse_timestamp(found.get("StateChangeTimestamp", "")),
        # systemd prints nothing for root.
        user=(found["User"] or "root") if "User" in found else "",
        drop_ins=tuple(found.get("DropInPaths", "").split()),
    )


def _number(text: str) -> int | None:
    """A property's number; 0 if the unit does not have it, None for invalid text."""
    if not text:
        return 0
    return int(text) if _NUMBER.fullmatch(text) else None


def parse_timestamp(text: str) -> datetime | None:
    """Systemd's ``Fri 2024-05-03 10:00:00 UTC``; None for anything else."""
    words = text.split()
    if len(words) < 3:
        return None
    try:
        return datetime.strptime(" ".join(words[1:3]), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
