"""Pauses and times of scheduled work in a few words, for the screens of maintenance."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from opstasks.core.clock import Clock
from opstasks.core.formats import span_text
from opstasks.maintenance.onhost.records import PREPARE, UNPAUSE, Pause, ScheduledItem

# A clock time without a date is clear for so long ahead.
CLEAR_S = 20 * 3600
BY_HAND = "someone, by hand"


def whose(pause: Pause) -> str:
    """Who made a pause: ``bob@pc``, ``someone, by hand``."""
    return pause.who or BY_HAND


def pause_text(pause: Pause | None, clock: Clock) -> str:
    """``paused by bob@pc since 01:02, until 04:13: database upgrade``, or ``not paused``."""
    if pause is None:
        return "not paused"
    kind = "paused for a reboot" if pause.task == PREPARE else "paused"
    since = f" since {clock.text(pause.since_at)}" if pause.since_at else ""
    until = f", until {soon_text(pause.until_at, clock)}" if pause.until_at else ""
    return f"{kind} by {whose(pause)}{since}{until}" + (f": {pause.why}" if pause.why else "")


def end_text(until_at: float, clock: Clock) -> str:
    """``paused until 04:13 (2h)``, or ``paused until someone unpauses``."""
    if not until_at:
        return "paused until someone unpauses"
    return f"paused until {soon_text(until_at, clock)} ({span_text(until_at - clock.now_at)})"


def soon_text(at: float, clock: Clock) -> str:
    """A moment ahead: a clock time if it is clear which day is meant, else with the date."""
    if 0 <= at - clock.now_at < CLEAR_S:
        return replace(clock, now_at=at).text(at)
    return clock.text(at)


def due_text(at: float, there: str, clock: Clock) -> str:
    """A moment ahead, and in the host's own zone where that differs: ``21:00 (22:00 BST there)``.

    `there` is the same moment as the host wrote it: ``2026-12-01 22:00:00 BST``.
    """
    other = there_text(at, there, clock)
    return soon_text(at, clock) + (f" ({other} there)" if other else "")


def there_text(at: float, there: str, clock: Clock) -> str:
    """The moment in the host's own zone, ``22:00 BST``; "" where it is the same as ours."""
    words = there.split()
    if len(words) < 3 or _is_same(at, words, clock):
        return ""
    return f"{words[1][:5]} {words[2]}"


def _is_same(at: float, words: list[str], clock: Clock) -> bool:
    """Whether the host's time reads like ours."""
    try:
        ours = datetime.fromtimestamp(at, clock.zone or UTC)
    except (ValueError, OverflowError, OSError):
        return True
    return f"{ours:%Y-%m-%d %H:%M}" == f"{words[0]} {words[1][:5]}"


def when_text(at: float, clock: Clock) -> str:
    """A moment with how far it is: ``06:13 in 3h59m``; in the past only the moment."""
    ahead_s = at - clock.now_at
    return f"{soon_text(at, clock)} in {span_text(ahead_s)}" if ahead_s > 0 else clock.text(at)


def kind_text(item: ScheduledItem) -> str:
    """What a piece of work does, in a word."""
    return work_text(item.kind, reboots=item.reboot)


def work_text(kind: str, *, reboots: bool) -> str:
    """The same, for a kind of work and whether it ends with a reboot."""
    if kind == PREPARE:
        return "reboot" if reboots else "prepare"
    return "unpause" if kind == UNPAUSE else kind


def sentence(item: ScheduledItem, clock: Clock) -> str:
    """A piece of work, when, by whom and why, in one line."""
    kinds = {
        "unpause": "end of a pause",
        "reboot": "reboot",
        "prepare": "preparation for a reboot",
    }
    kind = kinds.get(kind_text(item), item.kind)
    why = f": {item.why}" if item.why else ""
    return f"{kind}, {when_text(item.due_at, clock)}, by {item.who}{why}"


def short_id(id: str) -> str:
    """The part of an id that is enough to type: ``4f2a9c``."""
    return id.rpartition("-")[2] or id
