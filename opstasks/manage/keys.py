"""Public keys: reading and checking them."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from opstasks.core.lines import lines_of

TYPES = re.compile(
    r"ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)"
    r"|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
)


class NotAKey(ValueError):
    """A line is not a public key; the message says which and why."""


@dataclass(frozen=True)
class SshKey:
    """One public key, without its comment, which is not trustworthy."""

    kind: str
    blob: str

    def line(self, comment: str) -> str:
        """The key as a line of authorized_keys."""
        return f"{self.kind} {self.blob} {comment}"


def parse(text: str) -> tuple[SshKey, ...]:
    """The keys of a text, one per line; raises NotAKey for an invalid line.

    Options before a key (``command=``, ``from=``) are refused, because readers do not expect them.
    Only a newline ends a line: otherwise a key could be in what looks like a comment.
    """
    found: dict[SshKey, None] = {}
    for number, line in enumerate(lines_of(text), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            found[_key(line.split(), number)] = None
    return tuple(found)


def _key(words: list[str], number: int) -> SshKey:
    if "PRIVATE" in words[:4]:
        raise NotAKey(f"line {number}: a PRIVATE key: use its .pub file instead")
    if len(words) < 2 or not TYPES.fullmatch(words[0]):
        raise NotAKey(f"line {number}: not a public key")
    try:
        data = base64.b64decode(words[1], validate=True)
        (length,) = struct.unpack_from(">I", data)
    except (binascii.Error, struct.error):
        raise NotAKey(f"line {number}: the key is incomplete or damaged") from None
    if data[4 : 4 + length] != words[0].encode() or len(data) < length + 36:
        raise NotAKey(f"line {number}: the key is not of the type that it names")
    return SshKey(words[0], words[1])


# The first text of key files that `manage` writes.
MARK = "# Managed by opstasks: "


def render(name: str, keys: Iterable[SshKey]) -> str:
    """A person's authorized_keys."""
    head = (
        f"{MARK}do not edit here, the next `manage` restores it.\n"
        f"# To change it, change backends/keys/{name}.\n"
    )
    return head + "".join(f"{key.line(name)}\n" for key in keys)
