"""The spans of time that the tasks of maintenance take: all in the same forms."""

from __future__ import annotations

from opstasks.core import durations
from opstasks.core.errors import Refused


def span_s(flag: str, text: str) -> int:
    """The seconds of a flag's value; raises Refused, with the flag's name."""
    try:
        return durations.parse(text)
    except Refused as error:
        error.message = f"--{flag}: {error.message}"
        raise


def ahead_s(flag: str, text: str, *, yes: bool) -> int:
    """The seconds until something happens, 0 for ""; more than 7 days need `yes`."""
    if not text:
        return 0
    seconds = span_s(flag, text)
    durations.check_sure(seconds, f"--{flag} {text}", yes=yes)
    return seconds
