"""Commands in a hint: a person pastes them into a shell."""

from __future__ import annotations

import functools
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence

from opstasks.core.lines import is_seen

# What people type to start this program. Our texts say the first one.
PROGRAMS = ("inv", "invoke", "opstasks")
# A command begins a text, or follows a sign or one of these words: not inside a file's name.
_COMMAND = re.compile(r"(^|[`(]|[:;,.?] |\b(?:then|or|run) )inv(?=( [^;`\n]*))")
# Without these flags of the line that was typed, its next command would reach other hosts.
_KEPT = {"--inventory": (), "-i": ("--identity",), "-S": ("--ssh-config",)}
# What does not read hosts.yaml, and partly refuses these flags.
_WITHOUT_HOSTS = (" --help", " --list", " sandbox.", " completion ")

# They have a meaning inside double quotes.
_SPECIAL = set('"$`\\!')


def program() -> str:
    """What the person typed to start this program; ``inv`` if it was started in another way."""
    name = os.path.basename(sys.argv[0])  # noqa: PTH119
    if name == "__main__.py":
        return "opstasks"
    return name if name in PROGRAMS else PROGRAMS[0]


def given(flag: str, line: Sequence[str] | None = None) -> str:
    """The value of --inventory, -i or -S in the line that was typed; "" without it.

    `line` is that line or a part of it. It is known before the line is parsed. $OPSTASKS_HOSTS is
    none: the next command has it too.
    """
    value, waits = "", False
    for word in sys.argv[1:] if line is None else line:
        if waits:
            value, waits = word, False
        elif word == "--":
            break
        elif word in (flag, *_KEPT[flag]):
            waits = True
        elif word.startswith(tuple(f"{name}=" for name in (flag, *_KEPT[flag]))):
            value = word.partition("=")[2]
        elif len(flag) == len("-i") and word.startswith(flag):
            value = word[len(flag) :]
    return value


def typed(text: str) -> str:
    """A text of ours with its commands complete, as this person types them.

    ``opstasks --inventory lab.yaml -H tpp status``: the name of the program, and the flags that say
    which hosts are meant and how to log in. A text may be completed twice.
    """
    return _COMMAND.sub(_completed, text)


def renamed(text: str, name: str) -> str:
    """A text of ours about commands in general, with another name of the program."""
    return _COMMAND.sub(lambda found: f"{found[1]}{name}", text)


def _completed(found: re.Match[str]) -> str:
    return " ".join([f"{found[1]}{program()}", *_flags_without(found[2])])


def _flags_without(words: str) -> Iterator[str]:
    """The kept flags, each as it is typed, for a command with these words; not those it has."""
    from opstasks.onhost.masking import masked_words

    if words.startswith(_WITHOUT_HOSTS):
        return
    before, _, command = words.partition(" -- ")
    line = _without(command)
    for flag, others in _KEPT.items():
        has = any(f" {name}" in before for name in (flag, *others))
        if not has and (value := given(flag, line)):
            # A masked value is no file: the command is refused, and reaches no other hosts.
            yield f"{flag} {one_word(masked_words([flag, value])[1])}"


def _without(command: str) -> list[str]:
    """The line that was typed, up to a command that follows ``--`` in a hint.

    Its flags belong to another program, also if ``--`` was forgotten in the line.
    """
    line = sys.argv[1:]
    try:
        words = shlex.split(command)
    except ValueError:  # a part of a text
        return line
    places = range(len(line) if words else 0)
    return next((line[:at] for at in places if line[at : at + len(words)] == words), line)


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
