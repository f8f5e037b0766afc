"""Values of flags: an error names its flag."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime

from opstasks.core import durations
from opstasks.core.errors import Refused


@contextlib.contextmanager
def of_flag(flag: str) -> Iterator[None]:
    """While inside, a refusal is about the value of a flag, and names it."""
    try:
        yield
    except Refused as error:
        error.message = f"{flag}: {error.message}"
        raise


def span_s(flag: str, text: str) -> int:
    """The seconds of a span such as ``90``, ``90s`` or ``1h30m``; raises Refused."""
    with of_flag(flag):
        return durations.parse(text)


def moment(flag: str, text: str) -> datetime | None:
    """The moment of a date, or of a span before now; None for "". Raises Refused."""
    with of_flag(flag):
        return durations.moment(text, datetime.now(UTC)) if text else None


def count(flag: str, number: int) -> int:
    """A number of rows or lines, where 0 means all of them; raises Refused for less."""
    if number < 0:
        raise Refused(f"{flag} must be 0 or greater, not {number}", hint=f"{flag} 0 shows all")
    return number
