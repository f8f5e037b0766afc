"""The lines of a text."""

from __future__ import annotations

import re

# Line ends that an editor or a review may not show as line ends, and signs that are invisible or
# change the direction of reading.
_HIDING = re.compile(
    "\r(?!\n)|[\x85\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069]|(?!\\A)\ufeff"
)

# Python takes some of these as visible, but a terminal shows nothing or a gap, or moves to the next
# line. The first lines are Unicode's Default_Ignorable_Code_Point.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u2800\u2d7f\U00016fe4\U0001bc9d\U0001d159]"
)


def is_seen(text: str) -> bool:
    """Whether every character is visible, or a space."""
    return text.isprintable() and (text.isascii() or not _UNSEEN.search(text))


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their line ends.

    `str.splitlines` also splits at ten other characters, such as U+0085 and U+2028: a name that
    contains one would become two lines.
    """
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def last_line(text: str) -> str:
    """The last line of a text; "" if it has none."""
    return "".join(lines_of(text)[-1:])


def clipped(text: str, most: int) -> str:
    """A text of at most so many characters; "…" at its end says that there were more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def hidden_sign(text: str) -> str:
    """The first sign that makes a text look different from what it is, with its line; "" if none.

    After such a sign, what looks like a comment can be a setting.
    """
    found = _HIDING.search(text)
    if found is None:
        return ""
    line = text.count("\n", 0, found.start()) + 1
    return f"line {line} has the invisible sign U+{ord(found[0]):04X}: remove it"
