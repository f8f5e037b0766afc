"""Runs on the host as root: who used which words in a sudo command; changes nothing."""

import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from opstasks.onhost.limits import LATEST_AT

SUDO_LOG = "/var/log/sudo.log"
# How many bytes of the log are read.
LOG_BYTES = 400_000
# A command that sudo ran. A line about a refused command begins with a reason and does not match:
# any account can get such a line into the log, with any text.
_ENTRY = re.compile(
    r"(?P<when>\w{3} [ \d]\d [\d:]{8}(?: \d{4})?) : (?P<who>[^\s:]+) :"
    r" [A-Z]+=.*?COMMAND=(?P<what>.*)"
)
_BETWEEN_WORDS = re.compile(r"[\s'\"=;|&<>()]+")
Use = dict[str, Any]


def last_uses(words: list[str], place: str = SUDO_LOG) -> dict[str, Use]:
    """Who last used each of these words (paths, names) in a sudo command, and when."""
    if not words:
        return {}
    try:
        with Path(place).open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_BYTES))
            return mentions(stream.read().decode("utf-8", "replace"), set(words))
    except OSError:
        return {}


def mentions(text: str, words: set[str]) -> dict[str, Use]:
    """The uses of the words in the text of the log.

    The commands stay on the host, because they may contain secrets. Our own are ignored.
    """
    found: dict[str, tuple[str, str]] = {}
    for line in text.split("\n"):  # other line ends may be part of a word
        entry = _ENTRY.match(line) if "--norc" not in line else None
        if entry is not None:
            for word in words.intersection(_BETWEEN_WORDS.split(entry["what"])):
                found[word] = (entry["who"], entry["when"])
    return {word: {"who": who, "at": moment(when)} for word, (who, when) in found.items()}


def moment(text: str) -> int:
    """A time of sudo's log in seconds since the epoch, read in the host's time zone.

    0 for any other text and for an impossible time.
    """
    if not re.search(r"\d{4}$", text):
        text = f"{text} {datetime.now(timezone.utc).year}"
    try:
        at = int(datetime.strptime(text, "%b %d %H:%M:%S %Y").timestamp())
    except (ValueError, OverflowError, OSError):
        return 0
    return at if 0 <= at <= LATEST_AT else 0
