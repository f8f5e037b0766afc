"""Texts in a window of a given width.

No line may be wider than the window: the terminal would continue it on the next line, which would
then begin with words of a host.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence

from opstasks.core.hints import command_pattern, program
from opstasks.output.escape import may_look_like_ours

# It follows each character that a terminal shows in two columns, so that `len` counts columns.
FILLER = "\0"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_LETTER, _WORD = re.compile(r"\S"), re.compile(r"\S+")
MARK = "…"
# Where a part of a text begins and ends.
Span = tuple[int, int]
# In front of the second line of a text, and the further ones.
INDENT = "  "


def window() -> int:
    """The width of the terminal that standard output goes to; 0 without a terminal."""
    from opstasks.core.window import size

    return size()[0] if sys.stdout.isatty() else 0


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


def paragraph(text: str, width: int) -> list[str]:
    """A sentence in lines of a window; one line for a pipe (0)."""
    if not width:
        return [text]
    return [line.replace(FILLER, "") for line in wrapped(filled(text), width)]


def wrapped(text: str, width: int) -> list[str]:
    """A filled text in lines of a width, divided at spaces.

    A command of ours stays in one line, if it fits into one. A word that fits into no line, such as
    a path, has a line of its own, which is wider.
    """
    room = width - (len(text) - len(text.lstrip(" ")))
    commands = [span for span in command_spans(text) if span[1] - span[0] <= room]
    found = spans(text, width, width, commands, long_words(text, room))
    return [text[start:end].rstrip() for start, end in found]


def long_words(text: str, room: int) -> list[tuple[int, int]]:
    """Where the words of a text are that fit into no line: people copy them."""
    if len(text) <= room:
        return []
    words = [found for found in _WORD.finditer(text) if len(found[0]) > room]
    # The terminal divides such a word at any place.
    return [found.span() for found in words if not may_look_like_ours(found[0].rstrip(MARK))]


def command_spans(text: str) -> list[tuple[int, int]]:
    """Where the commands of ours in a text begin and end."""
    return [found.span() for found in command_pattern(program()).finditer(text)]


def spans(text: str, width: int, later_width: int, *whole: Sequence[Span]) -> list[Span]:
    """Where the lines of a filled text begin and end, without the spaces between them.

    The first line has a width, all later ones another. The spans that are `whole` are not divided,
    even if the line becomes wider; in each sequence they are in the order of the text, and of
    several sequences the first one decides.
    """
    found: list[Span] = []
    start, room = 0, max(2, width)
    ahead = [list(reversed(each)) for each in whole]
    while len(text) - start > room:
        for each in ahead:
            while each and each[-1][1] <= start:
                each.pop()
        end = _undivided(text, start, _line_end(text, start, room), later_width, ahead)
        if end >= len(text):
            break
        found.append((start, end))
        start, room = end, max(2, later_width)
        while text[start : start + 1] == " ":
            start += 1
    return [*found, (start, len(text))]


def _line_end(text: str, start: int, width: int) -> int:
    """The last space where a line can end, or its last column."""
    end = text.rfind(" ", start, start + width + 1)
    if end > start and text[start:end].strip():
        return end
    end = start + width
    return end - (text[end] == FILLER)


def _undivided(text: str, start: int, end: int, width: int, ahead: Sequence[Sequence[Span]]) -> int:
    """The end of a line, moved before what is whole; behind it if that is the first thing.

    Also behind it if it follows a label, and fits into no line. The spans in `ahead` are in the
    reverse order of the text.
    """
    for each in ahead:
        # A line has few of them, a text may have thousands.
        begin, over = next((span for span in reversed(each) if span[1] > end), (0, 0))
        if over and not _LETTER.search(text, end, begin):
            before = text[start:begin].strip()
            is_label = text[begin - 2 : begin] in (": ", "  ") and " " not in before
            is_moved = before and (over - begin <= width or not is_label)
            return start + len(text[start:begin].rstrip(" ")) if is_moved else over
    return end
