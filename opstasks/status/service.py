"""Judging the service: its state, why it died, and what that needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opstasks.core.formats import span_text
from opstasks.core.hints import one_word
from opstasks.onhost import unit_state
from opstasks.primitives.systemd import UnitState
from opstasks.status.crashes import ServiceRun
from opstasks.status.model import Concern, ConcernKind, ServiceStatus, ServiceWord

# So many deaths in this time are a loop, until the service has been up for STEADY_S.
LOOP_DEATHS, LOOP_S = 2, 1800.0
STEADY_S = 600.0
# How long a start or a stop may take.
PATIENCE_S = 120.0
# How long a unit that systemd starts again may be shown as inactive.
MOMENT_S = 10.0
# How old a stop or a pause without an end may be before it counts as forgotten.
FORGOTTEN_S = 24 * 3600.0
# How long one death that systemd repaired is shown.
DEATH_SHOWN_S = 24 * 3600.0
TRANSIENT: dict[str, ServiceWord] = {
    "activating": "starting",
    "deactivating": "stopping",
    "failed": "failed",
    "inactive": "stopped",
    "reloading": "up",
}


@dataclass(frozen=True)
class Deaths:
    """How often the service died since its last start by a person.

    `recent_at` are the times of those in the last half hour that the log still has; `is_known`: it
    has some.
    """

    count: int
    recent_at: tuple[float, ...] = ()
    is_known: bool = False
    reason: str = ""

    @property
    def is_loop(self) -> bool:
        """Whether it died again and again."""
        return self.count >= LOOP_DEATHS and (
            len(self.recent_at) >= LOOP_DEATHS or not self.is_known
        )

    def describe(self, now_at: float) -> str:
        """For people: ``died 3 times in 4m: RuntimeError: ...``."""
        text = f"died {self.count} times" if self.count > 1 else "died once"
        if self.recent_at:
            age = span_text(now_at - self.recent_at[0])
            recent = len(self.recent_at)
            text = f"died {recent} times in {age}" if recent > 1 else f"died {age} ago"
        return f"{text}: {self.reason}" if self.reason else text


def deaths_of(unit: UnitState, runs: Sequence[ServiceRun], now_at: float) -> Deaths:
    """The deaths of a unit; the run of a living process has not ended."""
    is_waiting = is_between(unit, now_at)
    count = unit.restarts + (is_waiting or unit.active == "failed")
    is_alive = unit.active in ("active", "activating") and not is_waiting
    ended = (runs[:-1] if is_alive else runs)[-count:] if count else ()
    reason = next((run.reason for run in reversed(ended) if run.reason), "")
    recent = tuple(run.last_at for run in ended if now_at - run.last_at < LOOP_S)
    how = unit_state.ending(unit.shown) if count and not is_alive else ""
    return Deaths(count, recent, bool(ended), reason or how)


def is_between(unit: UnitState, now_at: float) -> bool:
    """Whether systemd is about to start the unit again after a crash.

    For a moment of that, systemd says that the unit is inactive, as after a stop.
    """
    is_moment = unit.active == "inactive" and unit.result not in ("", "success")
    has_just_ended = bool(unit.restarts) and _age_s(unit, now_at) < MOMENT_S
    return unit.sub.startswith("auto-restart") or (is_moment and has_just_ended)


def status_of(unit: UnitState, deaths: Deaths, now_at: float) -> ServiceStatus:
    """The state of the service."""
    return ServiceStatus(
        state=_word(unit, deaths, now_at),
        since_at=unit.since.timestamp() if unit.since else 0.0,
        restarts=unit.restarts,
        reason=deaths.reason,
        starts_at_boot=None if unit.is_unknown else unit.enabled == "enabled",
    )


def _word(unit: UnitState, deaths: Deaths, now_at: float) -> ServiceWord:
    if unit.is_unknown:
        return "unknown"
    if unit.load == "not-found":
        return "absent"
    if is_between(unit, now_at):
        return "crash loop" if deaths.is_loop else "crashed"
    if unit.is_serving:
        return "crash loop" if deaths.is_loop and _age_s(unit, now_at) < STEADY_S else "up"
    return TRANSIENT.get(unit.active, "unknown")


def _age_s(unit: UnitState, now_at: float) -> float:
    return max(0.0, now_at - unit.since.timestamp()) if unit.since else 0.0


# -- what it needs -----------------------------------------------------------------------------


def concerns(
    unit: UnitState, status: ServiceStatus, deaths: Deaths, now_at: float, *, host: str, undo: str
) -> list[Concern]:
    """What the service needs; `undo` is the command that takes back the newest release, or ""."""
    here = f"inv -H {one_word(host)}"
    found: list[Concern] = []
    if status.state in ("crash loop", "crashed"):
        text = deaths.describe(now_at)
        text += "" if status.state == "crash loop" else "; systemd starts it again"
        found.append(Concern("down", text, f"{here} logs", undo))
    elif status.state == "failed":
        text = f"failed, systemd does not start it again; {deaths.describe(now_at)}"
        found.append(Concern("failed", text, f"{here} logs", undo, f"{here} service.start"))
    elif status.state == "up":
        found += _died_earlier(unit, deaths, now_at, here)
    elif status.state == "stopped":
        found.append(_stopped(unit, now_at, here))
    elif status.state in ("starting", "stopping"):
        age_s = _age_s(unit, now_at)
        kind: ConcernKind = "down" if age_s > PATIENCE_S else "note"
        found.append(Concern(kind, f"{status.state} for {span_text(age_s)}", f"{here} logs"))
    elif status.state == "absent":
        found.append(Concern("down", f"there is no service {unit.name}", f"{here} doctor"))
    else:
        text = f"systemd does not say the state of {unit.name}"
        found.append(Concern("failed", text, f"{here} doctor"))
    return [*found, *_not_at_boot(unit, status, here)]


def _died_earlier(unit: UnitState, deaths: Deaths, now_at: float, here: str) -> list[Concern]:
    """A death that systemd repaired: good to know for a day."""
    age_s = _age_s(unit, now_at)
    if not deaths.count or age_s > DEATH_SHOWN_S:
        return []
    text = f"{deaths.describe(now_at)}; up again for {span_text(age_s)}"
    return [Concern("warning", text, f"{here} logs")]


def _stopped(unit: UnitState, now_at: float, here: str) -> Concern:
    """A service that is not running, and systemd does not start it."""
    start, age_s = f"{here} service.start", _age_s(unit, now_at)
    if problem := unit_state.start_problem(unit.name, unit.load):
        return Concern("down", problem, f"{here} doctor")
    if unit.since is None:
        return Concern("down", "was not started since the boot", f"{here} doctor", next=start)
    if not was_stopped(unit):
        how = unit_state.ending(unit.shown) or "its process ended"
        text = f"ended by itself {span_text(age_s)} ago: {how}"
        return Concern("down", text, f"{here} logs", next=start)
    if age_s > FORGOTTEN_S:
        text = f"stopped {span_text(age_s)} ago: forgotten?"
        return Concern("forgotten", text, f"{here} history", start)
    return Concern("note", f"stopped {span_text(age_s)} ago", f"{here} history", start)


def was_stopped(unit: UnitState) -> bool:
    """Whether somebody stopped the unit; a service can also end by itself."""
    # A stop between two crashes leaves the result of the last crash; else the unit would have
    # failed, and not be inactive.
    was_dying = unit.result not in ("", "success")
    return was_dying or bool(unit.by_hand(UnitState(unit.name)))


def _not_at_boot(unit: UnitState, status: ServiceStatus, here: str) -> list[Concern]:
    if status.state == "absent" or unit.load != "loaded" or status.starts_at_boot is not False:
        return []
    text = f"the service is {unit.enabled or 'not enabled'}: a reboot would not start it"
    return [Concern("warning", text, next=f"{here} manage --only service")]
