"""Values in a hint: a hint is a command that a person pastes into a shell."""

from __future__ import annotations

import shlex


def one_word(text: object) -> str:
    """A value as one word of a command line; the value may be hostile.

    Control characters become escapes that bash reads.
    """
    text = str(text)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    # An invalid UTF-8 byte stays that byte; any other lone surrogate only must not raise an error.
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", errors))
