"""Public keys: telling a key from anything else."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

TYPES = re.compile(
    r"ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)"
    r"|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
)


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
    if "PRIVATE" in words[:4]:
        raise NotAKey(f"line {number}: a PRIVATE key, which is for nobody else: use its .pub file")
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


# By it one tells who had keys from us.
MARK = "# Managed by opstasks: "


def render(name: str, keys: Iterable[Key]) -> str:
    """A person's authorized_keys."""
    head = (
        f"{MARK}do not edit here; the next `manage` puts it back.\n"
        f"# To change it, change backends/keys/{name}.\n"
    )
    return head + "".join(f"{key.line(name)}\n" for key in keys)
