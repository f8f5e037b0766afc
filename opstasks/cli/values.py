"""What a flag accepts as its value; what is refused is told with the name of the flag."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Protocol

from opstasks.core.errors import Refused
from opstasks.core.hints import quoted

SPANS = "90, 90s, 2m or 1h30m"
# A larger number is a typing mistake, and not every host could count that far.
MOST = 1_000_000_000
# A moment that a host shows may be ahead of this machine's clock.
SKEW_S = 900
_PLAIN = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


class ValueForm(Protocol):
    """The form of a value."""

    def parsed(self, flag: str, text: str) -> str:
        """The value as the task gets it; raises Refused, with the flag, for another form."""
        ...


@dataclass(frozen=True)
class Number:
    """A number, whole if `kind` is int, from `least` to MOST."""

    kind: type = int
    least: float = 0

    def parsed(self, flag: str, text: str) -> str:
        """The number."""
        value = number(self.kind, text)
        if value is None:
            wanted = "a whole number" if self.kind is int else "a number"
            raise Refused(f"{flag} must be {wanted}, not {quoted(text)}")
        if value > MOST:
            raise Refused(f"{flag} must be {MOST} or less, not {text}")
        return not_less(flag, value, self.least, text)


@dataclass(frozen=True)
class Span:
    """A span of time, for a flag that takes seconds as a number (`kind`)."""

    kind: type = int
    least: float = 0

    def parsed(self, flag: str, text: str) -> str:
        """The seconds."""
        from opstasks.core import durations

        value = number(self.kind, text)
        value = seconds(flag, text) if value is None else value
        if value > durations.LIMIT_S:
            raise Refused(f"{flag}: {quoted(text)} is more than a year", hint=durations.HINT)
        return not_less(flag, value, self.least, text)


@dataclass(frozen=True)
class SpanText:
    """A span of time, for a task that reads it itself."""

    def parsed(self, flag: str, text: str) -> str:
        """The same text."""
        seconds(flag, text)
        return text


@dataclass(frozen=True)
class Moment:
    """A date, a day or a span before now."""

    def parsed(self, flag: str, text: str) -> str:
        """The same text."""
        from datetime import UTC, datetime, timedelta

        from opstasks.core import durations

        now = datetime.now(UTC)
        try:
            found = durations.moment(text, now)
        except Refused as error:
            raise Refused(f"{flag}: {error.message}", hint=error.hint) from None
        if found > now + timedelta(seconds=SKEW_S):
            what = f"is in the future: it is {now:%Y-%m-%d %H:%M} UTC now"
            raise Refused(f"{flag}: {quoted(text)} {what}")
        return text


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def parsed(self, flag: str, text: str) -> str:
        """The same word."""
        if text not in self.words:
            *others, last = self.words
            known = f"{', '.join(others)} or {last}" if others else last
            raise Refused(f"{flag} must be {known}, not {quoted(text)}")
        return text


def number(kind: type, text: str) -> float | None:
    """A number in plain decimal digits; None for other text."""
    if not _PLAIN.fullmatch(text):
        return None
    try:
        value: float = kind(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def seconds(flag: str, text: str) -> int:
    """The seconds of a span; raises Refused, with the flag."""
    from opstasks.core import durations

    if not durations.is_span(text):
        raise Refused(f"{flag} must be a span of time ({SPANS}), not {quoted(text)}")
    try:
        return durations.parse(text)
    except Refused as error:
        raise Refused(f"{flag}: {error.message}", hint=error.hint) from None


def not_less(flag: str, value: float, least: float, text: str) -> str:
    """The number as text; raises Refused, with the flag, if it is less than `least`."""
    if value < least:
        raise Refused(f"{flag} must be {least:g} or greater, not {text}")
    return str(int(value) if value == int(value) else value)
