"""Times, spans and sizes as people read them, the same on every screen.

The code is in `opstasks.onhost.formats`, because programs on a host use it for messages too.
"""

from opstasks.onhost.formats import (
    clock_text,
    day_text,
    first_names,
    minute_text,
    plural,
    second_text,
    size_text,
    span_text,
)

__all__ = [
    "clock_text",
    "day_text",
    "first_names",
    "minute_text",
    "plural",
    "second_text",
    "size_text",
    "span_text",
]
