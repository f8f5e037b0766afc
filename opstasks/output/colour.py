"""Whether a stream gets colours (https://no-color.org, https://force-color.org)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any


def has_colours(
    stream: Any, *, no_color: bool = False, environ: Mapping[str, str] = os.environ
) -> bool:
    """--no-color and NO_COLOR forbid them, FORCE_COLOR wants them; else a terminal decides."""
    if no_color or environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return _is_capable(environ) and bool(stream.isatty())


def can_rewrite(*streams: Any, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a line on these streams can be replaced in place: each is a capable terminal."""
    return _is_capable(environ) and all(stream.isatty() for stream in streams)


def _is_capable(environ: Mapping[str, str]) -> bool:
    """Whether a terminal understands control sequences; one that has no name may not."""
    return environ.get("TERM", "") not in ("", "dumb")
