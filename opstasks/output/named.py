"""Named values as lines: a name, and beside it the value, for a window of any width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted, Part, dim, text_of

GAP = "  "
# A value that would become narrower than this stands below its name.
LEAST = 20


def named_lines(values: Iterable[tuple[str, Part]], width: int) -> list[Line]:
    """Each value beside its name, or below it where it is too long; `width` 0 means no limit.

    Texts are continued on the next line. A word that does not fit, such as a path, stands alone.
    """
    listed = list(values)
    name_width = max((len(name) for name, _ in listed), default=0)
    return [line for name, value in listed for line in _named(name, value, name_width, width)]


def _named(name: str, value: Part, name_width: int, width: int) -> list[Line]:
    text = fit.filled(printable(text_of(value)))
    title = f"{name.ljust(name_width)}{GAP}"
    room = width - len(title)
    longest = max(map(len, text.split()), default=0)
    if not width or len(text) <= room:
        return [[dim(title), _part(text, value)]]
    if room >= max(LEAST, longest):
        texts = fit.wrapped(text, room)
        starts: Sequence[Part] = [dim(title), *[" " * len(title)] * (len(texts) - 1)]
        return [[start, _part(each, value)] for start, each in zip(starts, texts, strict=True)]
    below = fit.wrapped(text, max(LEAST, width - len(GAP)))
    return [[dim(name)], *([GAP, _part(each, value)] for each in below)]


def _part(text: str, value: Part) -> Part:
    text = text.replace(fit.FILLER, "")
    return Painted(text, value.colour) if isinstance(value, Painted) else text
