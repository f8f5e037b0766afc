"""Moments on a screen: a clock time for today, a date for earlier days, in one time zone.

The zone is named once, in a headline or a header.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo


@dataclass(frozen=True)
class Clock:
    """The time of a screen: `now_at` in seconds since the epoch, and the zone it is shown in.

    `is_whole`: each moment has its date and zone, because no headline names them, as in a pipe.
    """

    now_at: float
    zone: tzinfo = UTC
    zone_name: str = "UTC"
    is_whole: bool = False

    def text(self, at: float, *, with_seconds: bool = False) -> str:
        """``07:44`` today, ``2026-11-24 07:44`` on another day; "" for 0 ("not yet")."""
        moment = self._moment(at)
        if moment is None:
            return "?" if at else ""
        form = "%H:%M:%S" if with_seconds else "%H:%M"
        if self.is_whole:
            return f"{moment.strftime(f'%Y-%m-%d {form}')} {self.zone_name}"
        now = self._moment(self.now_at)
        is_today = now is not None and moment.date() == now.date()
        return moment.strftime(form if is_today else f"%Y-%m-%d {form}")

    def day(self, at: float) -> str:
        """The day of a moment: ``2026-11-24``; "" for 0."""
        moment = self._moment(at)
        return moment.strftime("%Y-%m-%d") if moment else ""

    def iso(self, at: float) -> str:
        """A moment for a program that reads a pipe: ``2026-11-24T10:59:00Z``; "" for 0."""
        moment = self._moment(at)
        return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""

    @property
    def now_text(self) -> str:
        """The present time with its zone: ``02:13 UTC``."""
        now = self.text(self.now_at)
        return now if self.is_whole else f"{now} {self.zone_name}"

    def _moment(self, at: float) -> datetime | None:
        if not at:
            return None
        try:
            return datetime.fromtimestamp(at, self.zone)
        except (ValueError, OverflowError, OSError):
            return None
