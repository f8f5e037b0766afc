"""Values in a hint: a hint is a command that a person pastes into a shell."""

from __future__ import annotations

import re
import shlex

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


def one_word(text: object) -> str:
    """A value as one word of a command line, whoever wrote it.

    Control characters become escapes that bash reads.
    """
    text = str(text)
    if _PLAIN.fullmatch(text):
        return text
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    # A byte that is not UTF-8 is that byte; any other half of a pair only must not fail.
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", errors))
