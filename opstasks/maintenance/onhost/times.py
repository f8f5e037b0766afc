"""Runs on the host: a time that the operator typed, in the host's own zone."""

import math
import time
from datetime import datetime

from opstasks.onhost.protocol import HostRefusal


def host_time(at: float) -> str:
    """A moment (seconds since the epoch) for people, in the host's own zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at))


def resolve(at: str, delay_s: float, now: float) -> int:
    """When work is due: after a delay, or at ``HH:MM`` or ``YYYY-MM-DD HH:MM`` in the host's zone.

    A time of day that is past today means tomorrow. Seconds since the epoch, rounded up. Raises
    HostRefusal for a time that does not exist.
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
    raise HostRefusal(f"{at} does not occur within a day")


def local_time(when: tuple[int, ...]) -> int:
    """Seconds since the epoch of a local time.

    Raises HostRefusal for a time that a clock change skips.
    """
    year, month, day, hour, minute = when
    due = int(time.mktime((year, month, day, hour, minute, 0, 0, 0, -1)))
    if time.localtime(due)[3:5] != (hour, minute):
        raise HostRefusal(f"{hour:02}:{minute:02} does not exist on that day: the clocks change")
    return due
