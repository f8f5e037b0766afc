"""Which keys a host may show: OpenSSH's known_hosts files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

Hashed names, patterns, negations, ports, several keys of one type and ``@revoked`` are honoured.
Invalid lines are ignored, as in OpenSSH. ``@cert-authority`` lines are ignored too: host
certificates are not supported, so such a host is unknown.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

REVOKED, AUTHORITY = "@revoked", "@cert-authority"
# One key type can sign in several ways; SSH negotiates these algorithms.
RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")
ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    *RSA_ALGORITHMS,
)

HostKey = tuple[str, bytes]


@dataclass
class HostKeys:
    """The keys that one host may show, and revoked ones: (type, raw key)."""

    accepted: set[HostKey] = field(default_factory=set)
    revoked: set[HostKey] = field(default_factory=set)

    @property
    def unwanted_algorithms(self) -> list[str]:
        """The algorithms to disable, so that the host shows a key of a known type."""
        kinds = {kind for kind, _ in self.accepted}
        wanted = kinds | (set(RSA_ALGORITHMS) if "ssh-rsa" in kinds else set())
        return [name for name in ALGORITHMS if kinds and name not in wanted]


def place_of(host: str, port: int) -> str:
    """A host as known_hosts names it: ``host``, or ``[host]:port`` for an unusual port."""
    return host if port == 22 else f"[{host}]:{port}"


def pinned(lines: Iterable[str]) -> HostKeys:
    """The keys of ``TYPE BASE64`` lines of hosts.yaml; raises ValueError for a bad one."""
    keys = HostKeys()
    for line in lines:
        key = _key(line.split())
        if key is None:
            raise ValueError(f"{line[:40]!r} is not a host key")
        keys.accepted.add(key)
    return keys


def known(place: str, texts: Iterable[str]) -> HostKeys:
    """The keys that known_hosts files have for a place."""
    keys = HostKeys()
    for text in texts:
        for line in text.splitlines():
            _read(line, place, keys)
    return keys


def _read(line: str, place: str, keys: HostKeys) -> None:
    words = line.split()
    if not words or words[0].startswith("#"):
        return
    marker = words.pop(0) if words[0].startswith("@") else ""
    if len(words) < 3 or marker == AUTHORITY or not matches(words[0], place):
        return
    key = _key(words[1:])
    if key is not None and marker in ("", REVOKED):
        (keys.revoked if marker else keys.accepted).add(key)


def _key(words: list[str]) -> HostKey | None:
    try:
        raw = base64.b64decode(words[1], validate=True)
        size = int.from_bytes(raw[:4])
        kind = raw[4 : 4 + size].decode("ascii")
    except (IndexError, ValueError, binascii.Error):
        return None
    return (kind, raw) if kind == words[0] else None


def matches(patterns: str, place: str) -> bool:
    """Whether the first word of a line names a place: a hash, or patterns (`!` excludes)."""
    if patterns.startswith("|1|"):
        return _hash_matches(patterns, place)
    found = False
    for pattern in patterns.lower().split(","):
        negated = pattern.startswith("!")
        # Brackets belong to the port here; they are not a character set.
        literal = pattern.removeprefix("!").replace("[", "[[]")
        if fnmatch.fnmatchcase(place.lower(), literal):
            if negated:
                return False
            found = True
    return found


def _hash_matches(word: str, place: str) -> bool:
    try:
        _, _, salt, digest = word.split("|")
        made = hmac.new(base64.b64decode(salt), place.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(made, base64.b64decode(digest))
    except (ValueError, binascii.Error):
        return False
