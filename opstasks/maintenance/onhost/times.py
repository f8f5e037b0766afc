"""Runs on the host: a time as the operator writes it, in the host's own zone."""

import math
import time
from datetime import datetime

from opstasks.onhost.commands import StepError


def host_time(seconds: float) -> str:
    """A time for people, in the host's own zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def resolve(at: str, delay_s: int, now: float) -> int:
    """When it is due: after a delay, or at ``HH:MM`` or ``YYYY-MM-DD HH:MM`` in the host's zone.

    A time of day that has passed today means tomorrow's.
    """
    if not at:
        return math.ceil(now + delay_s)
    if len(at) > 5:
        return local_time(datetime.strptime(at, "%Y-%m-%d %H:%M").timetuple()[:5])
    clock = time.strptime(at, "%H:%M")
    today = time.localtime(now)
    for days in (0, 1):
        day = (today.tm_year, today.tm_mon, today.tm_mday + days)
        due = local_time((*day, clock.tm_hour, clock.tm_min))
        if due > now:
            return due
    raise StepError(f"{at} does not come within a day", refused=True)


def local_time(when: tuple[int, ...]) -> int:
    """Seconds since the epoch of a local time; refuses one that the clock change leaves out."""
    year, month, day, hour, minute = when
    due = int(time.mktime((year, month, day, hour, minute, 0, 0, 0, -1)))
    if time.localtime(due)[3:5] != (hour, minute):
        raise StepError(
            f"there is no {hour:02}:{minute:02} on that day: the clocks change", refused=True
        )
    return due
