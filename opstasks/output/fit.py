"""Texts in a window of a given width.

No line may be wider than the window: the terminal would continue it on the next line, which would
then begin with words of a host.
"""

from __future__ import annotations

import re
import sys
import unicodedata

# It follows each character that a terminal shows in two columns, so that `len` counts columns.
FILLER = "\0"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
MARK = "…"


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
    return _head(filled(text), columns).replace(FILLER, "")


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
    """A filled text in lines of a width; a word that is longer than a line is cut."""
    import textwrap

    if len(text) <= width:
        return [text]

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

    return Wrapper(max(2, width), break_on_hyphens=False).wrap(text) or [""]
