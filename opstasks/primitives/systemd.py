"""systemd: reading a unit, starting and stopping it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import msgspec

from opstasks.core.command import Command, cmd
from opstasks.core.fields import Line
from opstasks.core.hints import one_word
from opstasks.fleet.program import Program
from opstasks.onhost import unit_state

if TYPE_CHECKING:
    from opstasks.core.state import ServiceState

# The state of a unit when systemd does not report it.
UNKNOWN = "unknown"
_WORD = re.compile(r"[a-z-]{1,40}")
_NUMBER = re.compile(r"[0-9]{1,10}")
_PROPERTIES = (
    f"{unit_state.PROPERTIES},UnitFileState,StateChangeTimestamp,{unit_state.ACCOUNT_PROPERTIES}"
)


class ControlRequest(msgspec.Struct, frozen=True):
    """A unit, and what to do with it: stop, start, or both in this order."""

    unit: str
    verbs: tuple[str, ...]


class ControlAnswer(msgspec.Struct, frozen=True):
    """The unit's properties afterwards, as `systemctl show` prints them."""

    properties: dict[Line, Line]


# One program, so that a client that is lost between a stop and a start leaves no unit stopped.
# It refuses before it stops a unit that systemd would not start again.
CONTROL = Program(
    "opstasks.onhost.unit_control", ControlRequest, ControlAnswer, timeout_s=420.0, changes=True
)


def start_hint(unit: str, load: str) -> str:
    """What a person does about `unit_state.start_problem`."""
    name = one_word(unit)
    if load == "masked":
        return f"sudo systemctl unmask {name}, if nobody needs it masked"
    return "`manage` installs it" if load == "not-found" else f"systemctl status {name}"


def account_hint(unit: str) -> str:
    """What a person does about `unit_state.account_problem`: `manage` removes no drop-in."""
    return (
        f"systemctl cat {one_word(unit)} shows the file that sets it;"
        " correct it, then systemctl daemon-reload"
    )


def hint_for(unit: str, problem: str, otherwise: str = "") -> str:
    """What a person does about a host's reason why it would not start a unit, or one it needs.

    The host's words are only compared: they must not get into a hint. `otherwise` is the hint for
    another reason.
    """
    if problem.startswith(f"{unit} would run "):
        return account_hint(unit)
    for name in (unit, f"{unit}-network.service"):
        for load in unit_state.BAD_LOADS:
            if unit_state.start_problem(name, load) == problem:
                return start_hint(name, load)
    return otherwise or f"systemctl status {one_word(unit)}"


@dataclass(frozen=True)
class UnitState:
    """A unit as systemd sees it; `since` is None if it never ran, `user` is "" if unknown.

    `shown` is what systemd printed, for the judgements in `opstasks.onhost.unit_state`.
    """

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
    shown: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

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

    @property
    def state(self) -> ServiceState | None:
        """The state as a claim of a result; None if it is not known."""
        return cast("ServiceState | None", unit_state.service_state(self.shown))

    def by_hand(self, first: UnitState) -> str:
        """What a person did to it since the first look; "" for nothing, or a crash."""
        return unit_state.done_by_hand(self.name, first.shown, self.shown)

    def fallen(self, first: UnitState) -> str:
        """Why it does not serve with the process of the first look; "" if it does."""
        if unit_state.same_process(first.shown, self.shown):
            return ""
        how = unit_state.ending(self.shown)
        text = f"{self.name} did not stay up: {self.describe()}{f', {how}' if how else ''}"
        return self.by_hand(first) or text

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


def parse_show(unit: str, text: str) -> UnitState:
    """The state that `show` printed; unknown for invalid output."""
    return of(unit, unit_state.parse(text))


def of(unit: str, found: Mapping[str, str]) -> UnitState:
    """The state from a unit's properties; unknown for invalid ones."""
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
        shown=found,
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
