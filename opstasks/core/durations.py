"""Times as people type them: spans (``90``, ``90s``, ``1h30m``, ``2d``) and dates, in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from opstasks.core.errors import Refused
from opstasks.core.hints import quoted

_SPAN = re.compile(
    # A number without a unit is seconds.
    r"(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?:in)?)?(?:(\d{1,6})s)?"
    r"|(?P<seconds>\d{1,9})",
    re.ASCII,
)
_UNITS_S = (604800, 86400, 3600, 60, 1)
_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}([t ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(z|[+-]\d{2}:\d{2})?)?", re.ASCII
)
_DAYS = {"today": 0, "yesterday": 1}
HINT = "try 90 (seconds), 90s, 30m, 4h, 1h30m or 2d"
# A longer span is more often a typing mistake than a plan.
SURE_S = 7 * 86400
LIMIT_S = 366 * 86400


def _match(text: str) -> re.Match[str] | None:
    """The parts of a span, in small or capital letters."""
    match = _SPAN.fullmatch(text.strip().lower())
    return match if match and any(match.groups()) else None


def is_span(text: str) -> bool:
    """Whether `text` has the form of a span."""
    return _match(text) is not None


def parse(text: str) -> int:
    """The seconds of a span; raises Refused for 0, for over a year and for other text."""
    match = _match(text)
    if match is None:
        raise Refused(f"{quoted(text)} is not a span of time", hint=HINT)
    *parts, bare = match.groups()
    seconds = sum(int(n or 0) * size for n, size in zip(parts, _UNITS_S, strict=True))
    seconds += int(bare or 0)
    if seconds == 0:
        raise Refused(f"{quoted(text)} is not a span longer than 0", hint=HINT)
    if seconds > LIMIT_S:
        raise Refused(f"{quoted(text)} is more than a year", hint=HINT)
    return seconds


def check_sure(seconds: float, text: str, *, yes: bool) -> None:
    """Raise Refused for more than 7 days, unless `yes`."""
    if seconds > SURE_S and not yes:
        raise Refused(f"{quoted(text)} is more than 7 days ahead", hint="add --yes if you mean it")


def moment(text: str, now: datetime) -> datetime:
    """The moment of a date, ``today``, ``yesterday`` or a span before `now`, in UTC.

    A date may have an offset, as those of --json do. Raises Refused.
    """
    if is_span(text):
        return now - timedelta(seconds=parse(text))
    typed, text = text, text.strip().lower()
    if text in _DAYS:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=_DAYS[text])
    if not _DATE.fullmatch(text):
        raise Refused(
            f"{quoted(typed)} is not a time", hint="try 90s, 1h30m, 2d or 2026-11-24 10:00"
        )
    try:
        found = datetime.fromisoformat(text.upper())
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Refused(
            f"{quoted(typed)} is not a date", hint="try 2026-11-24 or 2026-11-24 10:00"
        ) from None
