"""Which keys a host may show: OpenSSH's known_hosts files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

`ssh-keygen -F` gives the same answers, but costs a process for each host and file: far more than
the whole login. A test compares the two over generated files. As in OpenSSH, invalid lines are
ignored. Host certificates are not supported: a line with ``@cert-authority`` accepts no key.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word
from opstasks.fleet.key_files import KEY_LIST_BYTES, read_file

REVOKED, AUTHORITY = "@revoked", "@cert-authority"
DEFAULT_PORT = 22
_BLANK = re.compile(r"[ \t]+")

HostKey = tuple[str, bytes]


@dataclass
class HostKeys:
    """The keys that one host may show, and revoked ones: (type, raw key).

    `elsewhere` are those of the same host at port 22, which are accepted as well. `of_address`, if
    any, are the only ones that its address may show (CheckHostIP). `authority` is the line that
    accepts certificates for this host, or "".
    """

    accepted: set[HostKey] = field(default_factory=set)
    revoked: set[HostKey] = field(default_factory=set)
    elsewhere: set[HostKey] = field(default_factory=set)
    of_address: set[HostKey] = field(default_factory=set)
    revoked_address: set[HostKey] = field(default_factory=set)
    authority: str = ""
    is_authority_revoked: bool = False

    @property
    def kinds(self) -> set[str]:
        """The types of the accepted keys."""
        return {kind for kind, _ in self.accepted | self.elsewhere}


@dataclass(frozen=True)
class KnownHost:
    """One line: its marker ("" for none), the names as written, the key, and its number."""

    marker: str
    names: str
    key: HostKey
    number: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether its names are compared as they are: no hash, no pattern, no `!`."""
        return not set(self.names) & set("|*?!")


class KnownHostsFile:
    """The valid lines of one text, found by name; `problem` says why it could not be read."""

    def __init__(self, text: str, path: Path | None = None, problem: str = "") -> None:
        self.path, self.problem = path, problem
        raw_lines = enumerate(text.split("\n"), 1)
        self._lines = [line for number, raw in raw_lines if (line := _parsed(raw, number))]

    @cached_property
    def _plain(self) -> dict[str, list[KnownHost]]:
        found: dict[str, list[KnownHost]] = {}
        for line in self._lines:
            for name in set(line.names.lower().split(",")) if line.is_plain else ():
                found.setdefault(name, []).append(line)
        return found

    @cached_property
    def _others(self) -> list[KnownHost]:
        return [line for line in self._lines if not line.is_plain]

    def find(self, place: str) -> Iterator[KnownHost]:
        """The lines for a place."""
        yield from self._plain.get(place.lower(), [])
        yield from (line for line in self._others if matches(line.names, place))


def place_of(host: str, port: int) -> str:
    """A host as known_hosts names it: ``host``, or ``[host]:port`` for another port than 22."""
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


def pinned(lines: Iterable[str]) -> HostKeys:
    """The keys of ``TYPE BASE64`` lines of hosts.yaml; raises ValueError for a bad one."""
    keys = HostKeys()
    for line in lines:
        key = _key(line.split())
        if key is None:
            raise ValueError(f"{line[:40]!r} is not a host key")
        keys.accepted.add(key)
    return keys


def known(place: str, files: Iterable[KnownHostsFile]) -> HostKeys:
    """The keys that known_hosts files have for a place."""
    keys, authorities = HostKeys(), set()
    for file in files:
        for line in file.find(place):
            if line.marker == AUTHORITY:
                authorities.add(line.key)
                keys.authority = f"{file.path}, line {line.number}"
            else:
                (keys.revoked if line.marker else keys.accepted).add(line.key)
    keys.is_authority_revoked = bool(authorities & keys.revoked)
    return keys


def read(path: Path) -> KnownHostsFile:
    """A known_hosts file; empty when it is missing or may not be read, as in OpenSSH.

    Raises Refused for a pipe, a file that is far too long, and when the system fails (for example,
    when too many files are open): it may revoke a key, or have another key for a new host.
    """
    try:
        seen = path.stat()
        return _read(path, seen.st_ctime_ns, seen.st_size)
    except (FileNotFoundError, NotADirectoryError):
        return KnownHostsFile("")
    except (IsADirectoryError, PermissionError) as error:
        reason = (error.strerror or "").lower()
        return KnownHostsFile("", path, f"cannot read {path}: {reason}")
    except OSError as error:
        text = f"cannot read known_hosts file {path}: {error.strerror}"
        raise Refused(text, hint=f"look at it: ls -l {one_word(path)}") from error


@lru_cache(maxsize=64)
def _read(path: Path, _changed_ns: int, _size_bytes: int) -> KnownHostsFile:
    return KnownHostsFile(read_file(path, KEY_LIST_BYTES).decode("utf-8", "replace"), path)


def hashed(place: str, salt: bytes) -> str:
    """A place as HashKnownHosts writes it."""
    digest = hmac.new(salt, place.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def _parsed(raw: str, number: int) -> KnownHost | None:
    """A line; None for a comment or an invalid one."""
    words = _BLANK.split(raw.strip(" \t\r"))
    if not words[0] or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0].startswith("@") else ""
    if marker not in ("", REVOKED, AUTHORITY) or len(words) < 3:
        return None
    key = _key(words[1:])
    return KnownHost(marker, words[0], key, number) if key else None


def _key(words: list[str]) -> HostKey | None:
    try:
        raw = base64.b64decode(words[1], validate=True)
        kind, *values = _fields(raw)
    except (IndexError, ValueError, binascii.Error):
        return None
    return (words[0], raw) if values and kind == words[0].encode() else None


def _fields(raw: bytes) -> list[bytes]:
    """The fields of a key; raises ValueError unless they fill it exactly."""
    found, start = [], 0
    while start < len(raw):
        end = start + 4 + int.from_bytes(raw[start : start + 4])
        if end > len(raw):
            raise ValueError("a field of a key is cut short")
        found.append(raw[start + 4 : end])
        start = end
    return found


def keys_of(text: str) -> set[HostKey]:
    """The public keys in a text with one key on each line, such as RevokedHostKeys.

    Raises ValueError with the number of a line that is not a key; OpenSSH refuses such a text, too.
    """
    found = set()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t\r")
        if not line or line.startswith("#"):
            continue
        key = _key(_BLANK.split(line))
        if key is None:
            raise ValueError(f"line {number} is not a public key")
        found.add(key)
    return found


def matches(names: str, place: str) -> bool:
    """Whether the names of a line are for a place: a hash, or patterns (`!` excludes)."""
    if names.startswith("|"):
        return _hash_matches(names, place)
    found = False
    for pattern in names.lower().split(","):
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
        _, kind, salt, digest = word.split("|")
        made = hmac.new(base64.b64decode(salt, validate=True), place.encode(), hashlib.sha1)
        wanted = base64.b64decode(digest, validate=True)
    except (ValueError, binascii.Error):
        return False
    return kind == "1" and hmac.compare_digest(made.digest(), wanted)
