"""Keys and values that an operator types, checked before any host is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable

from opstasks.config.keys import is_of_the_system
from opstasks.core.errors import Refused
from opstasks.core.hints import quoted
from opstasks.onhost.masking import is_secret

# This value means: ask for it, or read it from standard input.
ASK = "-"
VALUE_LENGTH = 8192
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def plain_key(text: str) -> str:
    """A key that a file may have; raises Refused for anything else."""
    if not _KEY.fullmatch(text) or text.endswith("\n"):
        form = "letters, digits and underscores, and no digit at the beginning"
        raise Refused(f"{quoted(text, 60)} is not a valid key: a key is {form}")
    return text


def valid_key(text: str) -> str:
    """A key that may be set; raises Refused for anything else."""
    if is_of_the_system(plain_key(text)):
        raise Refused(
            f"{text} controls the loader, the shell or Python, not job-runner",
            hint="change the unit's environment in backends/, see `manage`",
        )
    return text


def valid_value(key: str, value: str) -> str:
    """A value that both readers can read; raises Refused (without showing the value)."""
    if len(value) > VALUE_LENGTH:
        raise Refused(f"the value of {key} is longer than {VALUE_LENGTH} characters")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused(f"the value of {key} is not valid text") from None
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in value):
        raise Refused(f"the value of {key} contains a line end or another control character")
    return value


def assignment(text: str, secret_keys: Iterable[str], before: str = "") -> tuple[str, str]:
    """The key and the value of ``KEY=VALUE``; the value may be `ASK`.

    Raises Refused for a secret, because others could read it on the command line. `secret_keys`
    are the keys that a backend declares to be secret, whatever their names. `before` is the word
    before it on the line.
    """
    name, equals, value = text.partition("=")
    if not equals and before.endswith("=") and before.count("=") == 1:
        # The word is not shown: it is probably the value.
        raise Refused(f"{before} is followed by a blank: write KEY=VALUE as one word")
    if not equals:
        raise Refused(f"{quoted(text, 60)} has no equals sign: write KEY=VALUE")
    valid_key(name)
    if value != ASK and value and is_secret(name, [value], set(secret_keys)):
        raise Refused(
            f"{name} is a secret: others could read it on the command line",
            hint=f"write {name}=- and type it when asked, or edit 02_secrets.env in `shell`",
        )
    return name, valid_value(name, value)
