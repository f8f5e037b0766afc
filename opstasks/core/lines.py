"""The lines of a text."""

from __future__ import annotations


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their line ends.

    `str.splitlines` also splits at ten other characters, such as U+0085 and U+2028: a name that
    contains one would become two lines.
    """
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
