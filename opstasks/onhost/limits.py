"""The limits of values in an answer, the same on a host and on the client.

`opstasks.core.fields` has the same limits as types; here they are for dataclasses that a host
and the client share.
"""

from typing import Any

# The year 3000, in seconds since the epoch: a later time is a broken clock, or was set by hand.
LATEST_AT = 32_503_680_000
# An exabyte; any larger number is nonsense.
MAX_COUNT = 1 << 60
MAX_LINE = 65_536
# Of the commits between two releases, the newest ones.
MOST_COMMITS = 200


def moment(at: float) -> float:
    """A time in seconds since the epoch, limited to the years 1970 to 3000."""
    return min(max(0.0, float(at)), float(LATEST_AT))


def check(value: Any) -> None:
    """Raise ValueError for a dataclass with a number or a text beyond its limits."""
    from dataclasses import fields  # slow to import; a dataclass has imported it already

    for name in (item.name for item in fields(value)):
        if not is_within(name, getattr(value, name)):
            raise ValueError(f"{name} is out of range")


def is_within(name: str, value: Any) -> bool:
    """Whether a field's value is within its limits.

    Names of times end in ``_at``, names of spans in ``_s``.
    """
    if isinstance(value, tuple):
        return all(is_within(name, item) for item in value)
    if isinstance(value, (float, int)):
        is_time = name == "at" or name.endswith(("_at", "_s"))
        return 0 <= value <= (LATEST_AT if is_time else MAX_COUNT)
    return not isinstance(value, str) or len(value) <= MAX_LINE
