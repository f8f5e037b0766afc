"""Rules for every screen: lines fit, values are in one piece, and marks say what is left out."""

import re

from opstasks.core.lines import is_seen
from opstasks.output import fit

# The lines at the bottom of a terminal are replaced: what follows begins a line. So does each
# picture of --watch.
_REPLACED = re.compile(r"\x1b\[\d+F\x1b\[J|\r\x1b\[J|\x1b\[H|\x1b\[\?1049l")
_WATCHED = re.compile(r"\x1b\[\?(1049h|25[hl])|\x1b\[[JK]|\r(?=\n|$)")
_COLOUR = re.compile(r"\x1b\[\d+m")
# A command to type is in one piece, because people paste it: after a label, or after prose that
# ends in one.
_COMMAND = re.compile(r"(.*\b(next|look|undo|Undo|later|back): +|)(inv|opstasks) ")
# What is typed on the host, in place of a task of ours.
_OTHER = re.compile(r"\s*(next|look): +\S")
# The start of a value is enough to find its parts.
_PART = re.compile(r"[wcrput]\dx\d\d")


def lines_of(text):
    """The lines of a terminal, without colours."""
    return _COLOUR.sub("", _WATCHED.sub("", _REPLACED.sub("\n", text))).split("\n")


def has_colours(text):
    """Whether a part of the text has a colour."""
    return bool(_COLOUR.search(text))


def width_of(line):
    """How many columns a line takes."""
    return len(fit.filled(line.rstrip()))


def too_wide(lines, columns):
    """The lines that are wider than the window.

    A command is in one piece; so is a word that fits into no line, such as a path.
    """
    return [line for line in lines if width_of(line) > columns and not _may_be_wide(line, columns)]


def _may_be_wide(line, columns):
    text = line.strip()
    if _COMMAND.match(text) or _OTHER.match(line):
        return True
    if (command := text.rfind("inv -H")) > 0 and width_of(text[command:]) > columns - 8:
        return True
    # A line of a difference is what is in the file.
    if line.startswith(("+", "-")):
        return True
    words = text.split()
    # A label, and a word that fits into no line.
    return len(words) == 1 or (len(words) <= 3 and max(map(width_of, words)) > columns - 12)


def broken(lines, values):
    """Values of which a line has a part that does not end with a mark."""
    found = []
    for line in lines:
        for part in _PART.finditer(line):
            value = next((v for v in values if part[0] in v), "")
            if value and not _is_whole(line, part.start(), value, part[0]):
                found.append(f"{value[:12]}: {line}")
    return list(dict.fromkeys(found))


def _is_whole(line, at, value, part):
    """Whether the piece of a value around a part is the value, or is cut with a mark."""
    first = value.index(part)
    last = first + len(part)
    start, end = at, at + len(part)
    while start and first and line[start - 1] == value[first - 1]:
        start, first = start - 1, first - 1
    while end < len(line) and last < len(value) and line[end] == value[last]:
        end, last = end + 1, last + 1
    is_path = value[0] == "/"
    # A path may be relative to a folder, and a folder may be shown alone.
    begins = first <= is_path or line[max(0, start - 1) : start] == fit.MARK
    is_folder = is_path and value[last : last + 1] == "/"
    return begins and (last == len(value) or line[end : end + 1] == fit.MARK or is_folder)


def shown(lines, values):
    """The values of which a part is shown."""
    text = "\n".join(lines)
    return {value for value in values if any(part[0] in text for part in _PART.finditer(value))}


def has_mark(lines):
    """Whether something says that a part is left out."""
    return bool(re.search(r"…|not shown:|\d more\b|--all|--diff", "\n".join(lines)))


def unseen(text):
    """The characters that a terminal does not show, or that control it."""
    return sorted({c for c in "".join(lines_of(text)) if c != "\t" and not is_seen(c)})
