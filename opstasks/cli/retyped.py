"""The line that a person typed, as the next command to type."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def has_secret(words: Sequence[str]) -> bool:
    """Whether one of the words of a line is a secret, or has one."""
    from opstasks.onhost.masking import masked_words

    return masked_words(words) != list(words)


def retyped(words: Sequence[str], task: str = "") -> str:
    """A command of these words; the help of the task if one of them has a secret.

    An error may be kept in a log, where the line that was typed is not.
    """
    if has_secret(words):
        return f"inv --help {task or 'flags'}"
    return shlex.join(["inv", *words])
