"""The only place that makes text safe to show.

Text of a host, a job or a person may contain anything: characters that control a terminal or
reverse the direction of reading, or a line end and then a text that looks like our message. All of
them are escaped, so one text stays one line.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from opstasks.core.lines import is_seen

# For speed, only characters beyond plain ASCII are checked one by one: logs can have 200 MB.
_SUSPECT = re.compile(r"[^\x20-\x7e]")
_SUSPECT_EXCEPT_TAB = re.compile(r"[^\t\x20-\x7e]")
# What our own messages begin with (`opstasks.output.failures`).
_OURS = re.compile(r"(?:error|next:|now:)(?: |$)", re.IGNORECASE)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """A text as one line; every character that is not visible is escaped."""
    return text if is_seen(text) else _SUSPECT.sub(_escaped, text)


def printable_line(text: str) -> str:
    """Like `printable`, for a line of a program's own output, which keeps its tabs."""
    return text if is_seen(text) else _SUSPECT_EXCEPT_TAB.sub(_escaped, text)


def unlike_ours(text: str) -> str:
    """A text for the beginning of a line: it never looks like an error or a hint of ours."""
    return f"{_code(text[0])}{text[1:]}" if _OURS.match(_without_marks(text)) else text


def _without_marks(text: str) -> str:
    """A text without accents of their own: one on an "e" may be hard to see, or not shown."""
    if text.isascii():
        return text
    return "".join(char for char in text if unicodedata.category(char) not in ("Mn", "Me"))


def may_look_like_ours(text: str) -> bool:
    """Whether a text that a terminal divides at any place may look like a message of ours."""
    return not text.isascii() or bool(_OURS.search(text))


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if is_seen(char):
        return char
    return _SHORT.get(char) or _code(char)


def _code(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def json_text(value: object, default: Callable[[object], Any]) -> str:
    """A value as one line of JSON in plain ASCII, which cannot control a terminal."""
    # JSON allows DEL inside a text as it is, but some terminals act on it.
    return json.dumps(value, default=default).replace("\x7f", "\\u007f")
