"""The widths of a table's columns in a window that is narrower than the table.

No line of a table may be wider than the window: the terminal would continue it on the next line,
which would then begin with words of a host.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence

# The spaces between two columns.
GAP = 2
# The indent of the second line of a text in the first column.
INDENT = "  "
# Words are cut if their columns do not fit otherwise; no column becomes narrower than this, unless
# it was narrower in the rows before.
LEAST = 6
# It follows each character that a terminal shows in two columns, so that `len` counts columns.
FILLER = "\0"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


def window() -> int:
    """The width of the terminal that standard output goes to; 0 without a terminal."""
    from opstasks.fleet.terminal import size

    return size()[0] if sys.stdout.isatty() else 0


def filled(text: str) -> str:
    """A text with a FILLER after each wide character."""
    return text if text.isascii() else _BEYOND_ASCII.sub(_filled, text)


def _filled(match: re.Match[str]) -> str:
    return match[0] + FILLER * (unicodedata.east_asian_width(match[0]) in "WF")


def clipped(text: str, columns: int) -> str:
    """The part of a text that fits into one line."""
    text = filled(text)
    cut = columns - (text[columns : columns + 1] == FILLER)
    return text[:cut].replace(FILLER, "")


def wrapped(text: str, width: int, *, is_first: bool) -> str:
    """A filled text in lines of a width; in the first column, all lines but the first are indented.

    A word that is longer than a line is cut.
    """
    import textwrap

    if len(text) <= width:
        return text

    class Wrapper(textwrap.TextWrapper):
        """Cuts no wide character off its FILLER."""

        def _handle_long_word(
            self, chunks: list[str], line: list[str], taken: int, width: int
        ) -> None:
            cut = width - taken
            cut -= chunks[-1][cut : cut + 1] == FILLER
            cut = cut if line else max(1, cut)
            line.append(chunks[-1][:cut])
            chunks[-1] = chunks[-1][cut:]

    indent = INDENT if is_first else ""
    wrapper = Wrapper(width, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(wrapper.wrap(text))


def words(text: str, *, is_first: bool) -> list[str]:
    """The words of a cell; in the first column, all but the first word get the indent."""
    begin, *rest = text.split() or [""]
    return [begin, *(f"{INDENT}{word}" if is_first else word for word in rest)]


def widths(rows: Sequence[Sequence[str]], columns: int, least: Sequence[int] = ()) -> list[int]:
    """The width of each column so that the table fits; the widest columns shrink first.

    A column becomes narrower than its longest word only if the table does not fit otherwise,
    because a split id cannot be copied; and never narrower than `least`.
    """
    texts = list(zip(*rows, strict=True))
    found = [max(map(len, column)) for column in texts]
    floors = [
        max(map(len, ["", *(word for text in column for word in words(text, is_first=at == 0))]))
        for at, column in enumerate(texts)
    ]
    _shrink(found, floors, columns)
    least = least or [LEAST] * len(found)
    _shrink(found, [max(LEAST, width) for width in least], columns)
    _shrink(found, least, columns)
    return found


def _shrink(found: list[int], floors: Sequence[int], columns: int) -> None:
    """Make the widest columns narrower until they fit, or have their lowest width."""
    spare = sum(found) + GAP * (len(found) - 1) - columns
    while spare > 0:
        able = [at for at, width in enumerate(found) if width > floors[at]]
        if not able:
            break
        found[max(able, key=found.__getitem__)] -= 1
        spare -= 1
