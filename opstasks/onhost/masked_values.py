"""The values of secret names in a text: ``name=x``, ``name: x``, ``"name": "x"``, ``<name>x``.

A value may have several lines. Each function here looks at one line, and `Hidden` carries what the
next lines still belong to.
"""

import re
from collections.abc import Callable
from functools import partial

from opstasks.onhost.open_signs import QUOTE, OpenSigns, word_end
from opstasks.onhost.secret_names import MASK, is_telling

_NAME = re.compile(r"[A-Za-z0-9_-]+")
# What is between a name and its value, also in JSON, in an index and in a URL.
_SETS = re.compile(rf"({QUOTE}\]?)?[ \t]*(=>|:=|[=:]|%3[ADad])[ \t]*")
# A name and its value as two strings: ("name", "value").
_PAIR = re.compile(rf"{QUOTE}[ \t]*,[ \t]*(?=[A-Za-z]{{0,2}}{QUOTE}|[(\[{{]|\r?$)")
# An option in a list of words; a password that begins so has other characters too.
_OPTION = re.compile(rf"{QUOTE}-(?:-[a-z][A-Za-z-]*(?:{QUOTE}|=)|[A-Za-z]{QUOTE})")
# SQL, and calls of functions: PASSWORD 'x', PASSWORD('x').
_SAYS = re.compile(rf"(?:[ \t]+|[ \t]*\([ \t]*)[A-Za-z]?(?={QUOTE})")
_SAYING = ("password", "passwd", "passphrase")
_IDENTIFIED = re.compile(r"(?i)\bidentified[ \t]+by[ \t]+(?=[\"'])")
_QUOTES = ("'", '"', "`")
_TAG_BEGINS = re.compile(r"<(?:[\w.-]{1,30}:)?$")
# A longer one: so many characters are looked at.
_LONG_PREFIX = re.compile(r"[\w.-]{31}:")
_TAG = re.compile(r"[^<>]*>")
_HEREDOC = re.compile(r"(?:^|[ \t(=])<<-?([\"']?)([A-Za-z_]\w*)\1(?=[ \t|>&;)]|$)")
_NOTHING = re.compile(r"\s*$")
_KEY_BEGINS = re.compile(r"-{4,5} ?BEGIN ")
_KEY_ENDS = re.compile(r"-{4,5} ?END ")
_PUTTY_LINES = re.compile(r"\s*Private-Lines:[ \t]*([0-9]{1,6})\s*")
# The end of a traceback: nothing that was open before goes on after it.
_ENDS_ALL = re.compile(r"(?:[\w.]*(?:Error|Exception|Warning|Interrupt|Exit)|fatal|error):")
_NETRC_BEGINS = re.compile(r"\s*(?:machine|login|account|default)\b")
_NETRC = re.compile(r"\b(?:login|machine)[ \t]+\S+[ \t]+(?:account[ \t]+\S+[ \t]+)?password[ \t]+")
_NETRC_LINE = re.compile(r"\s*password[ \t]+(?=\S)")


class Hidden:
    """The secret that the next lines may still belong to.

    `lines` and `key`: of a private key. `tag`: of an XML element. `here`: the word that ends a
    here-document. `more`: the line is continued. `next`: the value begins in the next line.
    `word`: the value is a word of a shell, which may go on after a quote.
    `indent`: the indent of a name, deeper lines are its value (-1: none). `before` and `client`
    are the last word and the program of a command line that goes on.
    """

    def __init__(self) -> None:
        self.signs = OpenSigns()
        self.lines, self.indent = 0, -1
        self.key = self.tag = self.more = self.next = self.netrc = self.word = False
        self.here = self.before = self.client = ""

    def is_open(self) -> bool:
        """Whether a value is known to go on in the next line."""
        blocks = self.lines or self.key or self.tag or self.here
        return bool(self.signs or blocks or self.more or self.next)

    def of_command(self) -> "Hidden":
        """Only what is known of a command line that goes on."""
        found = Hidden()
        found.before, found.client = self.before, self.client
        return found

    def of_block(self) -> "Hidden":
        """Only a private key and a here-document, whose ends are certain."""
        found = Hidden()
        found.key, found.lines, found.here = self.key, self.lines, self.here
        return found

    def hides(self, line: str) -> bool:
        """Whether a line is inside a secret; it may be the last one."""
        if _ENDS_ALL.match(line):
            vars(self).update(vars(Hidden()))
        if self.here:
            self.here = "" if line.strip() == self.here else self.here
            return True
        if self.key or self.lines or self.tag:
            self._end_block(line)
            if self.signs:
                self._go_on(line)
            return True
        if self.signs or self.more:
            self._go_on(line)
            return True
        if self.indent >= 0 and _indent(line) > self.indent:
            if self.next:
                self.next = False
                self.signs.end(line, max(0, self.signs.begin(line, _first(line))))
            return True
        self.indent = -1
        return False

    def _end_block(self, line: str) -> None:
        self.lines = max(0, self.lines - 1)
        self.key = self.key and not _KEY_ENDS.search(line)
        self.tag = self.tag and "</" not in line

    def _go_on(self, line: str) -> None:
        """A line that a value goes on in: it may end here, and another one may begin."""
        place = self.signs.end(line, 0) if self.signs else _first(line)
        if place >= 0 and (self.word or self.more):
            place = word_end(line, place, self.signs)
        self.more = line.endswith("\\")
        if place >= 0:
            without_values(line[place:], self)


def _indent(line: str) -> int:
    """The indent of a line, also in a list or a diff."""
    return len(line) - len(line.lstrip(" \t-+"))


def _first(line: str) -> int:
    return len(line) - len(line.lstrip())


def here_word(line: str, place: int) -> str:
    """The word that ends a here-document which begins in a line; "" for none."""
    found = _HEREDOC.search(line, place)
    return found[2] if found else ""


def without_blocks(line: str, hidden: Hidden) -> str:
    """A line without a private key that begins in it, and without a value that was announced."""
    if hidden.next:
        hidden.next = False
        line = _without_next(line, hidden)
    if putty := _PUTTY_LINES.fullmatch(line):
        hidden.lines = int(putty[1])
    begins = _KEY_BEGINS.search(line)
    if begins and "PRIVATE KEY" in line[begins.end() :]:
        hidden.key = not _KEY_ENDS.search(line, line.rfind("BEGIN "))
        line = f"{line[: begins.start()]}{MASK}"
    return _without_netrc(line, hidden)


def _without_next(line: str, hidden: Hidden) -> str:
    """A line without the value that it begins with; a bracket that closes or an option is none."""
    start = _first(line)
    if line[start : start + 1] in ("-", ")", "]", "}") or _OPTION.match(line, start):
        return line
    end, _ = _string_end(line, start, hidden)
    return f"{line[:start]}{MASK}{line[end:]}"


def _without_netrc(line: str, hidden: Hidden) -> str:
    """A line without the password of a netrc file: ``login x password y``."""
    found = _NETRC.search(line) or (_NETRC_LINE.match(line) if hidden.netrc else None)
    hidden.netrc = bool(_NETRC_BEGINS.match(line))
    if found is None:
        return line
    end = word_end(line, found.end(), hidden.signs)
    return f"{line[: found.end()]}{MASK}{line[end:] if end >= 0 else ''}"


def without_values(line: str, hidden: Hidden) -> str:
    """A line without the values of secret names; sets what the next lines belong to."""
    pieces, place, scanned, first = [], 0, 0, len(line)
    is_xml = line.lstrip().startswith("<")
    for found in _NAME.finditer(line):
        if found.start() < scanned or not is_telling(found[0]):
            continue
        start, ends = _value(line, found, is_xml=is_xml)
        if _is_quoted(line, found.start() - 1, start, ends):
            ends = partial(_quoted_end, quote=found.start() - 1)
        if ends is None:
            continue
        hidden.word = ends not in (_string_end, _line_end)
        end, scanned = ends(line, start, hidden)
        if start >= place:
            pieces += [line[place:start], MASK if end > start else ""]
            place, first = end, min(start, first)
    if place == len(line):
        hidden.here = here_word(line, first)
    return _without_identified("".join([*pieces, line[place:]]), hidden)


def _is_quoted(line: str, quote: int, start: int, ends: "_Ends | None") -> bool:
    """Whether a name and its value are in the same quotes, and the value has none of its own."""
    sign = line[max(0, quote) : quote + 1]
    if sign not in _QUOTES or ends not in (_word_end, _line_end):
        return False
    # A shell ends the quotes before the value, as in 'NAME='x.
    goes_on = line[start + 1 : start + 2].strip(",)]}; \t\r")
    return not (ends is _line_end and line.startswith(sign, start) and goes_on)


def _without_identified(line: str, hidden: Hidden) -> str:
    """A line of SQL without a password: ``IDENTIFIED BY 'x'``."""
    found = _IDENTIFIED.search(line)
    if found is None:
        return line
    _string_end(line, found.end(), hidden)
    return f"{line[: found.end()]}{MASK}"


# Where a value of this kind ends, and from where on the line is searched for more names.
_Ends = Callable[[str, int, Hidden], tuple[int, int]]


def _value(line: str, name: "re.Match[str]", *, is_xml: bool) -> tuple[int, "_Ends | None"]:
    """Where the value of a name begins, and the function that finds its end (None: no value)."""
    end = name.end()
    if sets := _SETS.match(line, end):
        if sets[1] and not sets[1].endswith("]"):
            return sets.end(), _string_end
        return sets.end(), _word_end if sets[2] == "=" else _line_end
    pair = _PAIR.match(line, end)
    if pair and not _OPTION.match(line, pair.end()):
        return pair.end(), _pair_end
    if name[0].lower().endswith(_SAYING) and name[0][0] != "-" and (says := _SAYS.match(line, end)):
        return says.end(), _string_end
    if _TAG_BEGINS.search(line, max(0, name.start() - 32), name.start()):
        tag = _TAG.match(line, end)
        if tag and not tag[0].endswith("/>") and (is_xml or line.find("</", tag.end()) >= 0):
            return tag.end(), _element_end
    elif is_xml and _LONG_PREFIX.fullmatch(line, max(0, name.start() - 32), name.start()):
        return end, _element_end
    return end, None


def _string_end(line: str, start: int, hidden: Hidden) -> tuple[int, int]:
    """As in JSON: a quote or bracket ends the value, other values go to the line's end."""
    hidden.signs.is_shell = False
    inside = hidden.signs.begin(line, start)
    if inside >= 0:
        end = hidden.signs.end(line, inside)
        if end < 0 or "''" in line[start:end]:
            hidden.indent = _indent(line)  # deeper lines: a value of YAML may go on in them
        return (end, end) if end >= 0 else (len(line), len(line))
    hidden.next = _NOTHING.match(line, start) is not None
    hidden.indent = _indent(line)
    return len(line), start


def _pair_end(line: str, start: int, hidden: Hidden) -> tuple[int, int]:
    """The second string of a pair or of a list; it may be in the next line."""
    if not _NOTHING.match(line, start):
        return _string_end(line, start, hidden)
    hidden.next = True
    return len(line), len(line)


def _line_end(line: str, start: int, hidden: Hidden) -> tuple[int, int]:
    """After a colon: the value goes to the line's end, and deeper lines belong to it."""
    hidden.signs.is_shell = False
    hidden.more, hidden.indent = line.endswith("\\"), _indent(line)
    # "(none given" in a sentence has no end.
    is_plain = line.startswith("(", start)
    inside = -1 if is_plain else hidden.signs.begin(line, start, is_raw=True)
    if inside < 0:
        return len(line), start
    end = hidden.signs.end(line, inside)
    return len(line), end if end >= 0 else len(line)


def _word_end(line: str, start: int, hidden: Hidden) -> tuple[int, int]:
    """After an equals sign: like `_line_end`, but a quote may begin anywhere in the word."""
    hidden.more = line.endswith("\\")
    if line[start : start + 1] not in ('"', "'"):
        hidden.indent = _indent(line)
    end = word_end(line, start, hidden.signs)
    return len(line), end if end >= 0 else len(line)


def _quoted_end(line: str, start: int, hidden: Hidden, *, quote: int) -> tuple[int, int]:
    """The name and the value are in the same quotes, as in ``env 'NAME=x y'``.

    In a list of strings, a backslash has a meaning also in ``'``.
    """
    while quote and line[quote - 1] == "\\":
        quote -= 1
    is_list = not {*line[max(0, quote - 2) : quote]}.isdisjoint(",[(")
    inside = hidden.signs.begin(line, quote, is_raw=not is_list)
    end = hidden.signs.end(line, inside)
    end = word_end(line, end, hidden.signs) if end >= 0 else end
    return len(line), max(end, start) if end >= 0 else len(line)


def _element_end(line: str, start: int, hidden: Hidden) -> tuple[int, int]:
    """The value of an XML element."""
    end = line.find("</", start)
    hidden.tag = end < 0
    return (end, end) if end >= 0 else (len(line), len(line))
