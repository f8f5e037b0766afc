"""Public keys: telling a key from anything else, from a file or from an https address."""

from __future__ import annotations

import base64
import binascii
import re
import struct
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

TYPES = re.compile(
    r"ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)"
    r"|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
)
FETCH_TIMEOUT_S = 10.0
# A person has a handful of keys of well under 1 kB; more is no list of keys.
LARGEST_ANSWER = 64 * 1024


class NotAKey(ValueError):
    """A line that is no public key; the message says which and why."""


@dataclass(frozen=True)
class Key:
    """One public key; the comment is not kept: it says nothing that can be trusted."""

    kind: str
    blob: str

    def line(self, comment: str) -> str:
        """The key as a line of authorized_keys."""
        return f"{self.kind} {self.blob} {comment}"


def parse(text: str) -> tuple[Key, ...]:
    """The keys of a text, one a line; raises NotAKey unless every line is one.

    Options before a key (``command=``, ``from=``) are refused: nobody would look for them there.
    """
    found: dict[Key, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            found[_key(line.split(), number)] = None
    return tuple(found)


def _key(words: list[str], number: int) -> Key:
    if len(words) < 2 or not TYPES.fullmatch(words[0]):
        raise NotAKey(f"line {number}: no public key")
    try:
        data = base64.b64decode(words[1], validate=True)
        (length,) = struct.unpack_from(">I", data)
    except (binascii.Error, struct.error):
        raise NotAKey(f"line {number}: the key is cut short or damaged") from None
    if data[4 : 4 + length] != words[0].encode() or len(data) < length + 36:
        raise NotAKey(f"line {number}: the key is not what it says it is")
    return Key(words[0], words[1])


def render(name: str, keys: Iterable[Key]) -> str:
    """A person's authorized_keys."""
    head = (
        "# Managed by opstasks: do not edit here; the next `manage` puts it back.\n"
        f"# To change it, change backends/keys/{name}.\n"
    )
    return head + "".join(f"{key.line(name)}\n" for key in keys)


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows a redirection to another https address only."""

    def redirect_request(self, *args: object) -> urllib.request.Request | None:
        request: urllib.request.Request | None = super().redirect_request(*args)  # type: ignore[arg-type]
        if request is not None and not request.full_url.startswith("https://"):
            raise urllib.error.URLError("it leads away from https")
        return request


def fetch_one(url: str) -> tuple[Key, ...]:
    """The keys that an address answers with; raises OSError or NotAKey for anything else."""
    opener = urllib.request.build_opener(_NoDowngrade())
    with opener.open(url, timeout=FETCH_TIMEOUT_S) as answer:
        data: bytes = answer.read(LARGEST_ANSWER + 1)
    if len(data) > LARGEST_ANSWER:
        raise NotAKey("far too long for a list of keys")
    found = parse(data.decode("utf-8", "replace"))
    if not found:
        raise NotAKey("an empty answer")
    return found


def fetch(source: str, names: Iterable[str]) -> dict[str, tuple[Key, ...] | str]:
    """Every person's keys from `source`, or the reason why they could not be had."""

    def one(name: str) -> tuple[Key, ...] | str:
        try:
            return fetch_one(source.replace("{name}", name))
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            return " ".join(str(reason).split())[:120] or type(error).__name__

    names = list(names)
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))
