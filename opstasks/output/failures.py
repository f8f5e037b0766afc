"""An error as lines: what went wrong and where, the last lines, and what to type next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from opstasks.core.errors import OpsError
from opstasks.core.formats import first_names
from opstasks.core.lines import clipped, lines_of
from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted

# So many hosts are named, also in the hint; of more, only the first ones.
NAMED = 3
# A host may give a reason of megabytes: what is next, and other hosts, must stay in sight.
MOST_SHOWN = 10_000
# Of the lines below an error: a host may send any number, of any length.
MOST_LINES, MOST_LINE = 200, 300
LABEL = "error  "
NEXT = "next:  "
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
    found: list[Line] = _wrapped(what(group), LABEL, INDENT, width, Painted("error", "red"))
    if first.command:
        found += _wrapped(f"command: {first.command[:MOST_LINE]}", INDENT, INDENT, width)
    tail = lines_of(first.tail)
    for text in tail[:MOST_LINES]:
        found += _wrapped(text[:MOST_LINE], TAIL, TAIL, width)
    if left := len(tail[MOST_LINES:]):
        found.append([f"{TAIL}… {left} more lines"])
    if first.hint:
        # Not in lines of our own: a command that is pasted with a line end in it runs in part.
        found.append([Painted(NEXT.rstrip(), "bold"), f"  {hint(group)}"])
    return found


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


def _wrapped(
    text: str, start: str, indent: str, width: int, label: Painted | None = None
) -> list[Line]:
    """A text in lines of a window: no line begins with words of a host."""
    text = fit.filled(printable(text))
    texts = fit.wrapped(text, max(20, width - len(start))) if width else [text]
    texts = [text.replace(fit.FILLER, "") for text in texts]
    first: Line = [label, start[len(label.text) :], texts[0]] if label else [start, texts[0]]
    return [first, *([indent, text] for text in texts[1:])]


def _key(error: OpsError) -> tuple[object, ...]:
    if not error.host:
        return (id(error),)
    hint = _with_host(error.hint, error.host, "HOST")
    return (type(error), error.message, error.command, error.tail, hint)


def _with_host(hint: str, host: str, name: str) -> str:
    """A hint for another host, or for several."""
    return re.sub(rf"(?<=-H ){re.escape(host)}(?=\s|$)", lambda found: name, hint)
