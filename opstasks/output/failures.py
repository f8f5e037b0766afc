"""An error as lines: what went wrong and where, the last lines, and what to type next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from opstasks.core.errors import OpsError
from opstasks.core.formats import first_names
from opstasks.core.lines import clipped, lines_of
from opstasks.output import fit, paragraphs
from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted, Part, bold, to_type

# So many hosts are named, also in the hint; of more, only the first ones.
NAMED = 3
# A host may give a reason of megabytes: what is next, and other hosts, must stay in sight.
MOST_SHOWN = 10_000
# Of the lines below an error: a host may send any number, of any length.
MOST_LINES, MOST_LINE = 200, 300
LABEL = "error  "
NEXT = "next:  "
NOW = "now:   "
INDENT = " " * len(LABEL)
TAIL = "  | "


def grouped(errors: Iterable[OpsError]) -> list[list[OpsError]]:
    """Errors in groups that differ only in the host, in the order of their first ones."""
    groups: dict[tuple[object, ...], list[OpsError]] = {}
    for error in errors:
        groups.setdefault(_key(error), []).append(error)
    return list(groups.values())


def lines(group: Sequence[OpsError], width: int = 0) -> list[Line]:
    """Errors that differ only in the host, for a window of a width (0: not a terminal)."""
    first = group[0]
    found = _wrapped([Painted(LABEL.rstrip(), "red"), f"  {printable(what(group))}"], width)
    if first.command:
        found += _wrapped([f"{INDENT}command: {printable(first.command[:MOST_LINE])}"], width)
    found += _tail_lines(first.tail, width)
    if now := _now(first):
        found += _wrapped([bold(NOW.rstrip()), f"   {printable(now)}"], width)
    if first.hint:
        found += _wrapped([bold(NEXT.rstrip()), "  ", *_hint_parts(hint(group))], width)
    return found


def _tail_lines(tail: str, width: int) -> list[Line]:
    """The last lines that a command printed, with a mark before each."""
    texts = lines_of(tail)
    found: list[Line] = []
    for text in texts[:MOST_LINES]:
        shown = fit.filled(printable(text[:MOST_LINE] + "…" * (len(text) > MOST_LINE)))
        pieces = fit.wrapped(shown, width - len(TAIL)) if width else [shown]
        found += [[TAIL, fit.bare(piece)] for piece in pieces]
    if left := len(texts[MOST_LINES:]):
        found.append([f"{TAIL}… {left} more lines"])
    return found


def _hint_parts(text: str) -> list[Part]:
    """A hint: the command at its beginning is never divided."""
    text = printable(text)
    start, end = next(iter(fit.command_spans(text)), (0, 0))
    if start or not end:
        return [text]
    return [to_type(text[:end]), text[end:]]


def _wrapped(line: Line, width: int) -> list[Line]:
    return paragraphs.folded([line], width)


def what(group: Sequence[OpsError]) -> str:
    """What went wrong, and on which hosts: ``no answer (a, b and 34 more)``."""
    names = [error.host for error in group if error.host]
    where = f" ({first_names(names, NAMED)})" if names else ""
    return clipped(group[0].message, MOST_SHOWN) + where


def hint(group: Sequence[OpsError]) -> str:
    """What to type next; for several hosts, with the names of the first ones."""
    first = group[0]
    if len(group) == 1:
        return first.hint
    return _with_host(first.hint, first.host, ",".join(error.host for error in group[:NAMED]))


def _key(error: OpsError) -> tuple[object, ...]:
    if not error.host:
        return (id(error),)
    hint = _with_host(error.hint, error.host, "HOST")
    return (type(error), error.message, error.command, error.tail, hint, _now(error))


def _now(error: OpsError) -> str:
    """The state that the host is in now, in words; "" if it is not known."""
    return error.now.words() if error.now else ""


def _with_host(hint: str, host: str, name: str) -> str:
    """A hint for another host, or for several."""
    return re.sub(rf"(?<=-H ){re.escape(host)}(?=\s|$)", lambda found: name, hint)
