"""Values in a hint: a hint is a command that a person pastes into a shell."""

from __future__ import annotations

import shlex

from opstasks.core.lines import is_seen

# They have a meaning inside double quotes.
_SPECIAL = set('"$`\\!')


def one_word(text: object) -> str:
    """A value as one word of a command line; the value may be hostile.

    Control characters become escapes that bash reads. A value that begins with `-` gets `./` before
    it: as a path it is the same file, and it never is an option of the command.
    """
    text = str(text)
    if text.startswith("-"):
        text = f"./{text}"
    if "'" in text and is_seen(text) and not set(text) & _SPECIAL:
        return f'"{text}"'
    if is_seen(text):
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def value_of(word: str) -> str:
    """The value for which `one_word` showed a word, as the shell passes it on."""
    return word[2:] if word.startswith("./-") else word


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if is_seen(char):
        return char
    # An invalid UTF-8 byte stays that byte; any other lone surrogate only must not raise an error.
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", errors))
