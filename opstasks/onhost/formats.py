"""Times, spans and sizes as text, the same on a host and on the client (docs/architecture.md)."""

from collections.abc import Sequence
from datetime import datetime, timezone

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")
_SPANS_S = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
# From this length on, the seconds of a span are left out.
_WITHOUT_SECONDS_S = 600


def size_text(count_bytes: float) -> str:
    """A size in binary units: ``17 B``, ``3.2 MiB``, ``128 GiB``."""
    value, place = float(count_bytes), 0
    while abs(value) >= 1024 and place < len(_SIZES) - 1:
        value, place = value / 1024, place + 1
    if place == 0 or abs(value) >= 100:
        return f"{value:.0f} {_SIZES[place]}"
    return f"{value:.3g} {_SIZES[place]}"


def plural(count: int, one: str, many: str = "") -> str:
    """``1 host``, ``2 hosts``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def first_names(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are: ``a, b and 3 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def signal_of(code: int) -> int:
    """The number of the signal that ended a command, from its exit code; 0 for none."""
    # A shell that waits for a command adds 128 to the number of its signal.
    number = -code if code < 0 else code - 128
    return number if 0 < number < 65 else 0


def ended_text(code: int) -> str:
    """How a command ended: ``killed by signal 9``, ``exit code 3``."""
    number = signal_of(code)
    return f"killed by signal {number}" if number else f"exit code {code}"


def span_text(seconds: float) -> str:
    """A span in its one or two largest units: ``52s``, ``1m30s``, ``12m``, ``3h59m``, ``3d4h``.

    `opstasks.core.durations.parse` reads it back.
    """
    left = max(0, round(seconds))
    if left >= _WITHOUT_SECONDS_S:
        left -= left % 60
    parts = []
    for unit_s, name in _SPANS_S:
        count, left = divmod(left, unit_s)
        if count:
            parts.append(f"{count}{name}")
        if len(parts) == 2 or (parts and not count):
            break
    return "".join(parts) or "0s"


def minute_text(at: float) -> str:
    """A moment (seconds since the epoch) in UTC, to the minute: ``2026-11-24 10:00 UTC``."""
    return _utc_text(at, "%Y-%m-%d %H:%M UTC")


def second_text(at: float) -> str:
    """A moment (seconds since the epoch) in UTC, to the second: ``2026-11-24 10:00:07 UTC``."""
    return _utc_text(at, "%Y-%m-%d %H:%M:%S UTC")


def clock_text(at: float) -> str:
    """Like `second_text` without the zone, for a column with the zone in its header."""
    return _utc_text(at, "%Y-%m-%d %H:%M:%S")


def day_text(at: float) -> str:
    """The day of a moment (seconds since the epoch) in UTC: ``2026-11-24``."""
    return _utc_text(at, "%Y-%m-%d")


def _utc_text(at: float, form: str) -> str:
    """Format a moment; "" for 0 ("not yet"), a question mark for an impossible date."""
    if not at:
        return ""
    try:
        return datetime.fromtimestamp(at, timezone.utc).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "?"
