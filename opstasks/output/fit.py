"""Texts and lines in a window of a given width.

No line may be wider than the window: the terminal would continue it on the next line, which would
then begin with words of a host.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence

from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted, Part, text_of

# It follows each character that a terminal shows in two columns, so that `len` counts columns.
FILLER = "\0"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
# A command of ours is pasted into a shell: it stays in one line, if it fits into one.
_COMMAND = re.compile(r"(?<![^ ])inv(?: [^ ;]+)+")
MARK = "…"
# In front of the second line of a text, and the further ones.
INDENT = "  "


def window() -> int:
    """The width of the terminal that standard output goes to; 0 without a terminal."""
    from opstasks.fleet.terminal import size

    return size()[0] if sys.stdout.isatty() else 0


# -- texts ---------------------------------------------------------------------------------------


def filled(text: str) -> str:
    """A text with a FILLER after each wide character."""
    return text if text.isascii() else _BEYOND_ASCII.sub(_filled, text)


def _filled(match: re.Match[str]) -> str:
    return match[0] + FILLER * (unicodedata.east_asian_width(match[0]) in "WF")


def bare(text: str) -> str:
    """A filled text as it is shown."""
    return text.replace(FILLER, "")


def clipped(text: str, columns: int) -> str:
    """The part of a text that fits into one line."""
    return bare(_head(filled(text), columns))


def shortened(text: str, width: int) -> str:
    """A filled text that fits into one line; `…` at the end says that something was cut."""
    return text if len(text) <= width else _head(text, width - 1) + MARK


def _head(text: str, columns: int) -> str:
    """The beginning of a filled text; cuts no wide character off its FILLER."""
    cut = max(0, columns)
    return text[: cut - (text[cut : cut + 1] == FILLER)] if cut else ""


def wrapped(text: str, width: int) -> list[str]:
    """A filled text in lines of a width, divided at spaces; a longer word is cut."""
    return [text[start:end].rstrip() for start, end in _spans(text, width, width)]


def _spans(text: str, width: int, later_width: int) -> list[tuple[int, int]]:
    """Where the lines of a filled text begin and end, without the space between them.

    The first line has a width, all later ones another.
    """
    if len(text) <= width:
        return [(0, len(text))]
    commands = [found.span() for found in _COMMAND.finditer(text)]
    found: list[tuple[int, int]] = []
    start, room = 0, max(2, width)
    while len(text) - start > room:
        end = _line_end(text, start, room)
        for begin, over in commands:
            if start < begin < end < over and over - begin <= later_width:
                end = begin - 1
        found.append((start, end))
        start, room = end + (text[end] == " "), max(2, later_width)
    return [*found, (start, len(text))]


def _line_end(text: str, start: int, width: int) -> int:
    """The last space where a line can end, or its last column."""
    end = text.rfind(" ", start, start + width + 1)
    if end > start and text[start:end].strip():
        return end
    end = start + width
    return end - (text[end] == FILLER)


# -- lines, with the colours of their parts ------------------------------------------------------


def folded(line: Line, width: int) -> list[Line]:
    """A line as lines of a width; all but the first one are indented."""
    parts = _filled_parts(line)
    text = "".join(part_text for part_text, _ in parts)
    if len(text) <= width:
        return [line]
    indent = " " * (len(text) - len(text.lstrip())) + INDENT
    indent = indent if len(indent) < width // 2 else INDENT
    spans = _spans(text, width, width - len(indent))
    return [[*([indent] if start else []), *_between(parts, start, end)] for start, end in spans]


def clipped_line(line: Line, columns: int) -> Line:
    """The part of a line that fits into one line; the rest becomes `…`."""
    parts = _filled_parts(line)
    text = "".join(part_text for part_text, _ in parts)
    if len(text) <= columns:
        return line
    return [*_between(parts, 0, len(_head(text, columns - 1))), MARK]


def _filled_parts(line: Line) -> list[tuple[str, Part]]:
    return [(filled(printable(text_of(part))), part) for part in line]


def _between(parts: Sequence[tuple[str, Part]], start: int, end: int) -> list[Part]:
    """The parts of a line between two columns."""
    found: list[Part] = []
    for text, part in parts:
        piece = bare(text[max(0, start) : max(0, end)])
        if piece:
            found.append(Painted(piece, part.colour) if isinstance(part, Painted) else piece)
        start, end = start - len(text), end - len(text)
    return found
