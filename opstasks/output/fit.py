"""The widths of a table's columns in a window that is narrower than the table."""

from __future__ import annotations

import sys
from collections.abc import Sequence

# The spaces between two columns.
GAP = 2
# The indent of the second line of a text in the first column.
INDENT = "  "


def window() -> int:
    """The width of the terminal that standard output goes to; 0 without a terminal."""
    from opstasks.fleet.terminal import size

    return size()[0] if sys.stdout.isatty() else 0


def indented(text: str, width: int) -> str:
    """A text in lines of a width; all lines but the first are indented."""
    import textwrap

    if len(text) <= width:
        return text
    return "\n".join(
        textwrap.wrap(
            text, width, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False
        )
    )


def words(text: str, *, is_first: bool) -> list[str]:
    """The words of a cell; in the first column, all but the first word get the indent."""
    begin, *rest = text.split() or [""]
    return [begin, *(f"{INDENT}{word}" if is_first else word for word in rest)]


def widths(rows: Sequence[Sequence[str]], columns: int) -> list[int]:
    """The width of each column so that the table fits; the widest columns shrink first.

    No column becomes narrower than its longest word, because a split id cannot be copied.
    If that is too much, the table is wider than the window.
    """
    texts = list(zip(*rows, strict=True))
    found = [max(map(len, column)) for column in texts]
    floors = [
        max(map(len, ["", *(word for text in column for word in words(text, is_first=at == 0))]))
        for at, column in enumerate(texts)
    ]
    spare = sum(found) + GAP * (len(found) - 1) - columns
    while spare > 0:
        able = [at for at, width in enumerate(found) if width > floors[at]]
        if not able:
            break
        found[max(able, key=found.__getitem__)] -= 1
        spare -= 1
    return found
