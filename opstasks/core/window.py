"""The size of the terminal's window."""

from __future__ import annotations

import os
import sys
from typing import Any


def size() -> tuple[int, int]:
    """Columns and rows of the window itself: COLUMNS and LINES may be out of date."""
    return size_of(sys.stdout)


def size_of(stream: Any) -> tuple[int, int]:
    """Columns and rows of the window of a stream; 80 and 24 if they are not known."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    # Some terminals do not know their size.
    return columns or 80, rows or 24
