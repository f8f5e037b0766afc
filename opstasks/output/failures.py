"""An error as lines: what went wrong and where, the last lines, and what to type next.

Errors that say the same about several hosts are one. If their texts contain what is each host's
own, such as its address, general words take its place. The key that a host showed is
then in a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from opstasks.core.errors import OpsError
from opstasks.core.formats import first_names
from opstasks.core.hints import typed
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
# What stands for the address of each host.
ADDRESS = "its address"
_BEGIN, _END = "(?<![A-Za-z0-9.])", "(?![A-Za-z0-9])"
_FINGERPRINT = re.compile(r"\bSHA256:[\w+/]{43}=?")


def grouped(errors: Iterable[OpsError]) -> list[list[OpsError]]:
    """Errors in groups that differ only in the host, in the order of their first ones."""
    groups: list[list[OpsError]] = []
    known: dict[tuple[object, ...], list[OpsError]] = {}
    for error in errors:
        # A text may contain the name of one of the hosts by chance: as it is, it may be the same.
        keys = [_key(error, text_as_it_is), _key(error, general)]
        group = next((known[key] for key in keys if key in known), None)
        if group is None:
            groups.append(group := [])
        group.append(error)
        known.update(dict.fromkeys(keys, group))
    return groups


def lines(group: Sequence[OpsError], width: int = 0) -> list[Line]:
    """Errors that differ only in the host, for a window of a width (0: not a terminal)."""
    first = group[0]
    found = _wrapped([Painted(LABEL.rstrip(), "red"), f"  {printable(what(group))}"], width)
    found += _own_lines(group, width)
    if command := _common(group, lambda error: error.command)[:MOST_LINE]:
        found += _wrapped([f"{INDENT}command: {printable(command)}"], width)
    found += _tail_lines(_common(group, lambda error: error.tail), width)
    if now := _now(first):
        found += _wrapped([bold(NOW.rstrip()), f"   {printable(now)}"], width)
    if first.hint:
        found += _wrapped([bold(NEXT.rstrip()), "  ", *_hint_parts(hint(group))], width)
    return found


def _own_lines(group: Sequence[OpsError], width: int) -> list[Line]:
    """What each host of a group showed, where their common text leaves it out."""
    if len({error.message for error in group}) == 1:
        return []
    texts = [f"{error.host}  {error.own_line}" for error in group if error.own_line]
    return [line for text in texts for line in _wrapped([INDENT + printable(text)], width)]


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
    return clipped(_common(group, lambda error: error.message), MOST_SHOWN) + where


def _common(group: Sequence[OpsError], text_of: Callable[[OpsError], str]) -> str:
    """A text of errors; in general words if it is not the same for all hosts."""
    first = text_of(group[0])
    return first if all(text_of(e) == first for e in group[1:]) else general(group[0], first)


def hint(group: Sequence[OpsError]) -> str:
    """What to type next; for several hosts, with the names of the first ones."""
    first = group[0]
    text = typed(first.hint)
    if len(group) == 1:
        return text
    if len({_with_host(error.hint, error.host, "HOST") for error in group}) > 1:
        return f"{text}; likewise for the others"
    return _with_host(text, first.host, ",".join(error.host for error in group[:NAMED]))


def _key(error: OpsError, shown: Callable[[OpsError, str], str]) -> tuple[object, ...]:
    """Equal for errors that say the same; `shown` makes a text of an error comparable."""
    if not error.host:
        return (id(error),)
    hint = _without_addresses(_with_host(error.hint, error.host, "HOST"), error)
    texts = [shown(error, text) for text in (error.message, error.command, error.tail)]
    return (shown, type(error), *texts, hint, _now(error))


def _now(error: OpsError) -> str:
    return error.now.words() if error.now else ""


def text_as_it_is(error: OpsError, text: str) -> str:
    """A text of an error, unchanged."""
    return text


def general(error: OpsError, text: str) -> str:
    """A text with general words for what is the host's own: its name, its addresses, its key."""
    text = _without_addresses(clipped(text, MOST_SHOWN), error)
    return re.sub(rf"{_BEGIN}{re.escape(error.host)}{_END}", "HOST", text)


def _without_addresses(text: str, error: OpsError) -> str:
    words = sorted({error.host, *filter(None, error.own_words)}, key=len, reverse=True)
    where = "|".join(map(re.escape, words))
    for word in (rf"\w{{1,32}}@\[?(?:{where})\]?(?::\d+)?", rf"\[?(?:{where})\]?:\d+"):
        text = re.sub(f"{_BEGIN}{word}{_END}", ADDRESS, text)
    for word in words:
        if word != error.host:
            text = re.sub(f"{_BEGIN}{re.escape(word)}{_END}", ADDRESS, text)
    # Without such a line, a fingerprint that nobody sees could not be compared.
    return _FINGERPRINT.sub("SHA256:…", text) if error.own_line else text


def _with_host(hint: str, host: str, name: str) -> str:
    """A hint for another host, or for several."""
    return re.sub(rf"(?<=-H ){re.escape(host)}(?=\s|$)", lambda found: name, hint)
