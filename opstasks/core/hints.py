"""Commands in a hint: a person pastes them into a shell."""

from __future__ import annotations

import functools
import os
import re
import shlex
import sys

from opstasks.core.lines import is_seen

# What people type to start this program. Our texts say the first one.
PROGRAMS = ("inv", "invoke", "opstasks")
# A command begins a text, or follows a sign or one of these words: not inside a file's name.
_COMMAND = re.compile(r"(^|[`(]|[:;,.?] |\b(?:then|or|run) )inv(?= )")

# They have a meaning inside double quotes.
_SPECIAL = set('"$`\\!')


def program() -> str:
    """What the person typed to start this program; ``inv`` if it was started in another way."""
    name = os.path.basename(sys.argv[0])  # noqa: PTH119
    if name == "__main__.py":
        return "opstasks"
    return name if name in PROGRAMS else PROGRAMS[0]


def typed(text: str, name: str = "") -> str:
    """A text of ours with its commands as this person types them: ``opstasks -H tpp status``.

    `name` is that of the program, if it is known.
    """
    name = name or program()
    return text if name == PROGRAMS[0] else _COMMAND.sub(rf"\1{name}", text)


@functools.cache
def command_pattern(name: str) -> re.Pattern[str]:
    """A command that begins with a program's name, in a text."""
    return re.compile(rf"(?<![^ ]){name}(?: [^ ;]+)+")


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


def unsecret(word: str) -> str:
    """A word that a person typed, without its secrets: an error may be kept in a log."""
    from opstasks.onhost.masking import masked_words  # only where a word is shown

    (shown,) = masked_words([word])
    return shown


def quoted(word: str, most: int | None = None) -> str:
    """A word that a person typed, in quotes for a message, without its secrets.

    At most the first `most` characters are shown.
    """
    return repr(unsecret(word)[:most])


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if is_seen(char):
        return char
    # An invalid UTF-8 byte stays that byte; any other lone surrogate only must not raise an error.
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", errors))
