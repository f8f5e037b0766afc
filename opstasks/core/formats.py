"""Times, spans and sizes as people read them: one way for every screen.

Written once, in `opstasks.onhost.formats`, because programs on a host put them into messages too.
"""

from opstasks.onhost.formats import (
    clock_text,
    day_text,
    minute_text,
    second_text,
    size_text,
    span_text,
)

__all__ = ["clock_text", "day_text", "minute_text", "second_text", "size_text", "span_text"]
